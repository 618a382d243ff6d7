"""Experiments: many runs over seeds and variants of a config, what they came to, and how far that can be trusted."""
