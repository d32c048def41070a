"""The bot in the sandbox: its configuration, and how it is joined."""
