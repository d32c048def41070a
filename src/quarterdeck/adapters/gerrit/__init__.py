"""Gerrit: changes by REST, events by SSH."""
