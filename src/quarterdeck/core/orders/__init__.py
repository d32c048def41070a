"""Turns what was asked into an order that was checked against the world."""
