"""Merged changes and the images that come of them: the ledger, and what is announced."""
