"""IRC: our own small client."""
