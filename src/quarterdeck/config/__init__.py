"""The settings and the catalogue, and the mistakes in them in words."""
