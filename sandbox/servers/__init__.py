"""The real servers, one a file, and what keeps them running."""
