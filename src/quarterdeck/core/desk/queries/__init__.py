"""What the commands that only look answer, a file for each, and the dossier of a rollout for its page."""
