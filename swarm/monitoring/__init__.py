"""Tells Prometheus of a run, and runs a Prometheus beside it on one machine; it imports no Ray."""
