"""Fakes for every port, shipped with the product: inspectable, and held to the same contract tests as the adapters."""
