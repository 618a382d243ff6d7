"""The strict, frozen base of everything that is read from a file: unknown keys are refused, nothing is coerced."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A frozen record whose keys are all known; validate it in JSON mode so that tuples and enums read naturally."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
