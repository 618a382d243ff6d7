"""Owns where a run's parts live: in this process or on a Ray cluster. Nothing outside this package imports ray."""
