"""Takes secrets out of every text before it is said, shown, logged or kept."""
