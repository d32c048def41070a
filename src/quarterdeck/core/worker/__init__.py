"""Drives rollouts: takes them up, performs their steps, tells how they ended."""
