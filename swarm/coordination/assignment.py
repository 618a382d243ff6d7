"""Columns over traders of who thinks in a round, and with which model. Why it was chosen, this module does not know."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

OWN = -1
"""In `Assignment.model`: the mind asks the model or models that are its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The traders that are asked in a round, by number and ascending; `model` is an index into `models`, or OWN."""

    trader: Int64
    model: Int64
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """The assignment of a round: of trader i, row i says if it is there, if it is asked, and which model answers.

    A mind that asks no model decides in every round in which its trader is there. `model` is an index into `models`, or
    OWN.
    """

    present: Mask
    asked: Mask
    model: Int64
    models: tuple[str, ...] = ()

    @classmethod
    def everybody(cls, present: Mask) -> Self:
        """Returns the assignment in which all who are there are asked at their own models."""
        return cls(present, present, np.full(len(present), OWN))

    @classmethod
    def of(cls, present: Mask, chosen: Chosen) -> Self:
        """Returns the assignment in which those are asked whom a staffing chose."""
        asked, model = np.zeros(len(present), dtype=np.bool_), np.full(len(present), OWN)
        asked[chosen.trader] = True
        model[chosen.trader] = chosen.model
        return cls(present, asked, model, chosen.models)

    def take(self, rows: Int64 | slice) -> Self:
        """Returns the rows at these indices."""
        return type(self)(self.present[rows], self.asked[rows], self.model[rows], self.models)
