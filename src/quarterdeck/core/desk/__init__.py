"""The desk: turns what a person says into an answer, or into an order that was checked and becomes a rollout."""
