"""The base of all that is read from files: where the descriptions of its keys come from, and when."""

import inspect
from typing import Any, NoReturn

import pytest

from swarm.schema import StrictModel


class Nest(StrictModel):
    """A place to sleep."""

    twigs: int = 3
    """How many twigs
    it has."""
    feathers: int = 0


class WarmNest(Nest):
    """A place to sleep in winter."""

    feathers: int = 12
    """How many feathers line it."""


class BareNest(WarmNest):
    """A place that has its feathers anew, and says nothing of them."""

    feathers: int = 0
    near: Nest | None = None
    """The next one."""


def described(schema: dict[str, Any]) -> dict[str, str | None]:
    """The keys of a schema with their descriptions."""
    return {key: told.get("description") for key, told in schema["properties"].items()}


def test_the_docstring_below_a_key_describes_it_in_the_schema() -> None:
    assert described(Nest.model_json_schema()) == {"twigs": "How many twigs\nit has.", "feathers": None}


def test_a_key_is_described_where_it_was_declared_last() -> None:
    schema = BareNest.model_json_schema()
    assert described(WarmNest.model_json_schema()) == {
        "twigs": "How many twigs\nit has.",
        "feathers": "How many feathers line it.",
    }
    assert described(schema) == {"twigs": "How many twigs\nit has.", "feathers": None, "near": "The next one."}
    assert described(schema["$defs"]["Nest"]) == {"twigs": "How many twigs\nit has.", "feathers": None}


def test_no_source_is_looked_up_when_a_config_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up(*_: Any) -> NoReturn:
        raise AssertionError("a class was made with a look at its source")

    monkeypatch.setattr(inspect, "findsource", looked_up)

    class Den(StrictModel):
        """A hole."""

        deep: int = 1
        """How deep it is."""

    assert Den().deep == 1


def test_a_class_without_source_has_keys_without_descriptions() -> None:
    scope: dict[str, Any] = {"StrictModel": StrictModel}
    exec("class Den(StrictModel):\n    deep: int = 1\n    'How deep it is.'\n", scope)
    assert described(scope["Den"].model_json_schema()) == {"deep": None}
