"""Reads helmfiles and values files: which scalar in which file decides each tag of a service, and who else reads it."""
