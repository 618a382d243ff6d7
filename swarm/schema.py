"""The strict, frozen base of everything that is read from a file, and how its errors show values."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from swarm.errors import ConfigError, PluginMissing


class StrictModel(BaseModel):
    """A frozen record whose keys are all known; validate it in JSON mode so that tuples and enums read naturally."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Misplaced(ValueError):
    """A validator's complaint about another key than that of the model it stands in.

    `plugin_missing` says that what is named may be there elsewhere: it is a plug-in that is not at hand.
    """

    def __init__(self, key: str, message: str, *, plugin_missing: bool = False) -> None:
        self.key, self.plugin_missing = key, plugin_missing
        super().__init__(message)

    @classmethod
    def of(cls, error: ConfigError) -> "Misplaced":
        """Returns the complaint that says what an error says."""
        return cls(
            error.key, str(error).removeprefix(f"{error.key}: "), plugin_missing=isinstance(error, PluginMissing)
        )


def complaint(message: str) -> str:
    """Returns a validator's message in the words of our errors, which know lists and no tuples."""
    said = message[:1].lower() + message[1:]
    return said.replace("input should be", "expected").replace("should", "must").replace("tuple", "list")


def short(value: Any, most: int = 60) -> str:
    """Returns a value as an error shows it, in at most so many characters."""
    try:
        text = repr(_written(value))
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= most else text[: most - 3] + "..."


def _written(value: Any) -> Any:
    """A value as a config's writer would write it: what is a tuple here is a list there."""
    return [_written(one) for one in value] if isinstance(value, tuple | list) else value
