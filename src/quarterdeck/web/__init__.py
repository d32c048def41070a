"""The law of this folder: routes only. What a page says is made in views."""
