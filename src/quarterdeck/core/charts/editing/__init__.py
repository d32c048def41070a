"""Changes tags: what a request means, which bytes it changes, and the proof that it changes nothing else."""
