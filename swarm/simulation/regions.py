"""Tells what the markets of a run are called, which are neighbours, who lives where, and who travels.

It knows where everybody has a seat, and neither a market nor what travels.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from swarm.schema import StrictModel
from swarm.seeding import draw, draw_below
from swarm.simulation.parties.road import Travellers


class RegionsConfig(StrictModel):
    """Several markets in one run, and the travellers who trade in two of them."""

    names: tuple[str, ...] = Field(default=(), max_length=64)
    """What the regions are called, in small letters, digits, `-` and `_`; empty: by number, as many as `count` says."""

    count: int | None = Field(default=None, ge=2, le=64)
    """How many regions there are; null: as many as `names`."""

    roads: tuple[tuple[str, str], ...] | None = Field(default=None, max_length=2_016)
    """Pairs of neighbours, by name; null: a ring, on which each region has the next one for a neighbour."""

    travellers: int = Field(default=10, ge=0, le=100_000)
    """How many traders of each pair of neighbours have a seat in both markets; half of them live in either."""

    abroad: Literal["arbitrage", "own"] = "arbitrage"
    """Who decides for a traveller away from home: the rule `arbitrage`, or its own mind, which then has two turns."""

    fee_permille: int = Field(default=20, ge=0, le=1_000)
    """What the road costs: this share of the goods' value at the price where they leave, in 1/1000."""

    capacity_lots: int = Field(default=8, ge=1, le=10_000)
    """Most lots that a traveller carries in a round."""

    tilt_permille: int = Field(default=300, ge=0, le=900)
    """How far regions begin apart: goods are up to this share dearer and scarcer, or cheaper and more plentiful, as the
    seed draws for each region, in 1/1000; 0: alike but for chance."""

    @model_validator(mode="after")
    def _regions_exist(self) -> "RegionsConfig":
        if self.names and self.count not in (None, len(self.names)):
            raise ValueError(f"count is {self.count}, but there are {len(self.names)} names; leave one of them out")
        if not self.names and self.count is None:
            raise ValueError("expected names, or a count from 2 to 64")
        if len(self.names) == 1:
            raise ValueError("expected 2 regions or more; one market needs no regions at all")
        for name in self.names:
            if not 0 < len(name) <= 40 or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-_"):
                raise ValueError(f"{name!r} is no name of a region; expected 1 to 40 small letters, digits, `-` or `_`")
        if len(set(self.names)) < len(self.names):
            raise ValueError("two regions have one name; give each its own")
        pairs = [frozenset(pair) for pair in self.roads or ()]
        for pair in self.roads or ():
            if missing := [name for name in pair if name not in self.all_names]:
                raise ValueError(
                    f"a road leads to {missing[0]!r}, which is no region; known: {', '.join(self.all_names)}"
                )
            if pair[0] == pair[1]:
                raise ValueError(f"a road leads from {pair[0]!r} to itself")
            if pairs.count(frozenset(pair)) > 1:
                raise ValueError(f"two roads join {pair[0]!r} and {pair[1]!r}; leave one out")
        return self

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names, by number where none are given."""
        return self.names or tuple(f"region-{number}" for number in range(1, (self.count or 0) + 1))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of neighbours, by number."""
        names = self.all_names
        if self.roads is not None:
            return [(names.index(one), names.index(other)) for one, other in self.roads]
        # A ring of two would join the same pair twice.
        ring = [(r, (r + 1) % len(names)) for r in range(len(names))]
        return ring[:1] if len(names) == 2 else ring

    @property
    def neighbours(self) -> list[list[int]]:
        """The neighbours of each region, by number."""
        return [[b if r == a else a for a, b in self.pairs if r in (a, b)] for r in range(len(self.all_names))]

    def homes(self, region: int) -> int:
        """Returns how many travellers live in a region."""
        # Of an odd number, the one more lives at the first end.
        ends = [(one, (self.travellers + 1) // 2) for one, _ in self.pairs]
        ends += [(other, self.travellers // 2) for _, other in self.pairs]
        return sum(some for end, some in ends if end == region)


def populations(population: int, regions: int) -> list[int]:
    """Returns how many traders live in each region: as many in one as in another, up to one."""
    return [population // regions + (region < population % regions) for region in range(regions)]


def region_seed(seed: int, region: int) -> int:
    """Returns what the chance of one region is drawn from."""
    return int(draw(seed, "region", region).item()) >> 1


def choose_travellers(config: RegionsConfig, seed: int, natives: Sequence[int]) -> Travellers:
    """Returns who travels, drawn from the seed: nobody on two roads. Guests sit behind those who live in a region."""
    # [regions] traders of each in an order that the seed draws.
    free = [
        np.argsort(draw_below(seed, "travellers", 2**53, r, np.arange(n)), kind="stable") for r, n in enumerate(natives)
    ]
    # Per region, how many of its own travel already, and the next free seat behind those who live there.
    next_home, next_guest = [0] * len(natives), list(natives)
    rows: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for pair in config.pairs:
        for number in range(config.travellers):
            # In turn from either end, so that half of a road's travellers live at each.
            home, away = pair if number % 2 == 0 else pair[::-1]
            rows.append(((home, away), (int(free[home][next_home[home]]), next_guest[away])))
            next_home[home] += 1
            next_guest[away] += 1
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 2, 2)
    return Travellers(columns[:, 0], columns[:, 1])
