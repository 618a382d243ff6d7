"""Thousand Token Wood: market simulations in which every trader thinks with a small language model."""

__version__ = "0.1.0"
