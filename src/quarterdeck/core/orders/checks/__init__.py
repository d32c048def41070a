"""What must hold before an order stands: one check a file, one list for each kind of rollout (`lists`)."""
