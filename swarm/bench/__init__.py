"""Benchmarks: each measures in one run what it compares, takes medians of five and writes one form of JSON."""
