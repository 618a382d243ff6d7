"""What varies in an experiment: seeds such as `0..19`, and variants such as `market.mechanism=call,continuous`."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import yaml

from swarm import bounded_yaml, config_file
from swarm.config import RunConfig
from swarm.errors import ConfigError, called
from swarm.schema import short

MOST_RUNS = 10_000
"""Most runs of one experiment."""

OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which the config is changed: the values by key, and each as text for tables."""

    values: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the variant is called: its keys and values, or `as it is` where nothing varies."""
        return ", ".join(f"{key}={text}" for key, text in self.texts.items()) or "as it is"

    def of(self, data: Mapping[str, Any], seed: int) -> RunConfig:
        """Returns the checked config of this variant under a seed; ConfigError names the key that is wrong."""
        changed = deepcopy(dict(data))
        for key, value in self.values.items():
            config_file.put(changed, key, deepcopy(value))
        return config_file.resolve({**changed, "seed": seed})


def seeds(text: str) -> tuple[int, ...]:
    """Returns the seeds of a text such as `0..19` or `1,2,7..9`, each once; ConfigError where it is none."""
    found: list[int] = []
    for part in text.split(","):
        first, dots, last = (end.strip() for end in part.partition(".."))
        ends = [first, last] if dots else [first]
        if not all(end.isascii() and end.isdigit() and len(end) < 19 for end in ends):
            raise ConfigError("--seeds", f"expected seeds such as 0..19 or 1,2,5, got {short(text)}")
        low, high = int(ends[0]), int(ends[-1])
        # Bounded before it is built: a range may be named that no memory holds.
        if not low <= high < low + MOST_RUNS:
            raise ConfigError("--seeds", f"expected a range of 1 to {MOST_RUNS:,} seeds, lowest first, got {part}")
        found += range(low, high + 1)
    return tuple(dict.fromkeys(found))


def parse(varied: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the values of each `KEY=VALUE,VALUE` or `KEY=VALUE | VALUE` by their text; ConfigError where one is none.

    Where a `|` stands outside brackets and quotes it parts the values, else a comma does.
    """
    found: dict[str, dict[str, Any]] = {}
    for one in varied:
        key, equals, text = one.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(
                "--vary", f"expected a.b=VALUE,VALUE, got {short(one)}", "say market.mechanism=call,continuous"
            )
        if key in found:
            raise ConfigError(f"--vary {key}", "this key varies already", "put all of its values into one --vary")
        # A comma parts only what no bar does, so that a value may be a list without brackets of its own.
        parts = list(_parted(text, "|"))
        if len(parts) == 1:
            parts = list(_parted(text, ","))
        values: dict[str, Any] = {}
        for part in (part.strip() for part in parts):
            if not part or part in values:
                what = f"{part} stands twice" if part else "a value is missing"
                raise ConfigError(f"--vary {key}", f"{what} in {short(text)}", "name each value once")
            try:
                values[part] = bounded_yaml.parse(part)
            except ValueError as error:
                raise ConfigError(f"--vary {key}", f"{part} is not YAML that a config may have ({error})") from error
        found[key] = values
    return found


def of_values(varied: Any) -> dict[str, dict[str, Any]]:
    """Returns the values of each key by their text, as `parse` does; ConfigError where they are no lists by key."""
    if not isinstance(varied, Mapping) or not all(isinstance(key, str) for key in varied):
        example = '{"market.mechanism": ["call", "continuous"]}'
        raise ConfigError("vary", f"expected keys and lists of values, say {example}, got {short(varied)}")
    found: dict[str, dict[str, Any]] = {}
    for key, values in varied.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ConfigError(f"vary[{key!r}]", f"expected a list of values, got {short(values)}")
        try:
            found[key] = {_text(value): value for value in values}
        except (yaml.YAMLError, RecursionError):
            raise ConfigError(f"vary[{key!r}]", f"expected plain values, got {short(values)}") from None
        if len(found[key]) < len(values):
            raise ConfigError(f"vary[{key!r}]", f"a value stands twice in {short(values)}", "name each value once")
    return found


def crossed(varied: Mapping[str, Mapping[str, Any]]) -> list[Variant]:
    """Returns every combination of the keys' values, the first key's changing slowest; one if nothing varies."""
    if "seed" in varied:
        key, remedy = called("--vary seed", "vary['seed']"), f"name them by {called('--seeds', '`seeds`')}"
        raise ConfigError(key, "seeds are what pairs are made by", remedy)
    return [
        Variant(
            {key: varied[key][text] for key, text in zip(varied, texts, strict=True)},
            dict(zip(varied, texts, strict=True)),
        )
        for texts in product(*varied.values())
    ]


def _text(value: Any) -> str:
    """Returns a value in one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return text.removesuffix("\n").removesuffix("...").strip()


def _parted(text: str, separator: str) -> Iterator[str]:
    """Yields what lies between separators that stand outside brackets and quotes."""
    depth, quote, begin = 0, "", 0
    for index, character in enumerate(text):
        # Within quotes nothing but their end counts.
        if quote:
            quote = "" if character == quote else quote
        elif character in QUOTES:
            quote = character
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == separator and depth == 0:
            yield text[begin:index]
            begin = index + 1
    yield text[begin:]
