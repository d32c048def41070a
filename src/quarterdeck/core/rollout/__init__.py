"""A rollout: its states and moves, its steps, what each of them intends and finds, and what it holds."""
