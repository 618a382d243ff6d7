"""Owns the names of the temperaments, after which rules and the models of this project choose."""

from typing import Literal

Temperament = Literal["value", "momentum", "maker", "hoarder", "panic"]
