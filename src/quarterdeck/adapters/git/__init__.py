"""The charts repository, by git."""
