"""What people may do, and when one is asked first: one rule a file, all of them in one list (`rulebook`)."""
