"""The figures of the README: what the bot's own work costs, beside a peer that does the same in the same run."""
