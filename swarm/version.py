"""The version of this software, which journals and clusters are held against."""

__version__ = "0.1.0"
