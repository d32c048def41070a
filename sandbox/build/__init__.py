"""Has every program of the sandbox at hand: fetched, built, kept in a cache."""
