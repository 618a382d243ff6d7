"""Plans an experiment: which runs it has, and the folder of each, whose name says what varies and so never collides."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.config import RunConfig
from swarm.errors import ConfigError, called
from swarm.experiments.variants import MOST_RUNS, Variant
from swarm.version import __version__

RUNS = "runs"
"""The folder, within an experiment's, that has a folder for each run."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One run: its variant, its seed, its config, and the name of its folder."""

    variant: Variant
    seed: int
    config: RunConfig
    folder: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """The runs of a config under each variant and seed."""

    name: str
    variants: tuple[Variant, ...]
    digests: tuple[str, ...]
    seeds: tuple[int, ...]
    data: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The experiment's folder where none is named: the same for the same variants of the same config."""
        return Path("runs") / f"sweep-{self.name}-{_digest(list(self.digests))}"

    def __len__(self) -> int:
        return len(self.variants) * len(self.seeds)

    def configs(self) -> Iterator[RunConfig]:
        """Yields the config of each variant, under the first seed."""
        for variant in self.variants:
            yield variant.of(self.data, self.seeds[0])

    def runs(self) -> Iterator[Planned]:
        """Yields each run, seed by seed, so that whatever is done when it stops can be paired."""
        for seed in self.seeds:
            for variant, digest in zip(self.variants, self.digests, strict=True):
                yield Planned(variant, seed, variant.of(self.data, seed), f"{digest}-{seed}")


def plan(data: Mapping[str, Any], variants: Sequence[Variant], seeds: Sequence[int]) -> Experiment:
    """Returns the experiment of a config's plain values; ConfigError where a variant is none, or is another's twin."""
    if not seeds:
        raise ConfigError(called("--seeds", "seeds"), "expected at least one seed")
    if len(variants) * len(seeds) > MOST_RUNS:
        what = f"{len(variants)} variants and {len(seeds)} seeds are more than {MOST_RUNS:,} runs"
        raise ConfigError(called("--vary", "vary"), what, "take fewer values or seeds")
    # Under one seed, so that the digest says the variant alone; runs of another version would be of other rules.
    configs = [variant.of(data, 0) for variant in variants]
    digests = [_digest([__version__, config.history_record()]) for config in configs]
    for index, digest in enumerate(digests):
        if (first := digests.index(digest)) != index:
            raise ConfigError(
                called("--vary", "vary"),
                f"{variants[first].label} and {variants[index].label} come to the same history",
                "leave one of them out",
            )
    return Experiment(configs[0].name, tuple(variants), tuple(digests), tuple(seeds), data)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
