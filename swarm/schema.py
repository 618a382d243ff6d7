"""The strict, frozen base of everything that is read from a file, and how its errors show values."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A frozen record whose keys are all known; validate it in JSON mode so that tuples and enums read naturally."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Misplaced(ValueError):
    """A validator's complaint about another key than that of the model it stands in."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


def short(value: Any) -> str:
    """Returns a value as an error shows it, in at most 60 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 60 else text[:57] + "..."
