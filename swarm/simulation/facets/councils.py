"""Keeps what councils came to: who met, who was right, and whether their members failed alike."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from swarm.agents.config import CouncilConfig, MemberConfig
from swarm.agents.votes import OPTIONS, count, turns_in
from swarm.coordination.failing_alike import failing_alike
from swarm.coordination.intervals import paired_over, rounded
from swarm.coordination.lying import liars
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.council_outcomes import Judged
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

ROWS = 200_000
"""Most rows of the table of judged votes; what comes later is left to the journal, and counted."""

_SCHEMA: dict[str, Any] = {
    "round": pl.Int64,
    "council": pl.String,
    "trader": pl.Int64,
    "member": pl.String,
    "action": pl.Int64,
    "gain_ticks": pl.Int64,
    "right": pl.Boolean,
    "council_ticks": pl.Int64,
    "best_ticks": pl.Int64,
}

COUNTED = (
    "turns", "met", "unanimous", "one_followed", "vetoed", "abstained", "nobody_voted", "missing_votes", "failed",
    "judged_not_kept",
)  # fmt: skip
"""What is counted of a council's turns, all of it told also where it is none."""


@dataclass(slots=True)
class _Sitting:
    """One council with the same members: counts of all its turns, what was judged, and from when to when it sat."""

    config: CouncilConfig
    counts: Counter[str] = field(default_factory=Counter)
    judged: list[Judged] = field(default_factory=list)
    first: int = 0
    last: int = 0


class Councils:
    """The table `votes`, of judged turns, and counts of all turns."""

    name = "councils"

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the councils of the run and of its forks, in which one may have other members."""
        self._sittings: dict[tuple[str, tuple[MemberConfig, ...]], _Sitting] = {}
        for one in plan.plans():
            for name, config in one.shard.sections(CouncilConfig).items():
                self._sittings[name, config.seats] = _Sitting(config)
        self._rows = 0

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps what was judged, and counts the turns of each council by what they came to."""
        if not self._sittings:
            return
        turns, configs = outcome.gathered.turns, outcome.plan.shard.sections(CouncilConfig)
        for name in configs.keys() & set(turns.minds):
            sitting = self._sittings[name, configs[name].seats]
            sitting.first, sitting.last = sitting.first or outcome.round, outcome.round
            rows = np.flatnonzero(turns.mind == turns.minds.index(name))
            _count(sitting.counts, configs[name], [turns.text[row] for row in rows.tolist()])
        for one in outcome.judged:
            if not isinstance(one, Judged):
                continue
            sitting = self._sittings[one.council, configs[one.council].seats]
            # A long run is judged to its end, and only its first rows are kept.
            if self._rows < ROWS:
                sitting.judged.append(one)
                self._rows += len(one.action)
            else:
                sitting.counts["judged_not_kept"] += 1

    def tables(self) -> Tables:
        """Returns the judged votes, one row for each member."""
        if not self._sittings:
            return {}
        rows = [
            (o.round, o.council, o.trader, _member(sitting.config, m), *values, o.council_ticks, o.best_ticks)
            for sitting in self._sittings.values()
            for o in sitting.judged
            for m, values in enumerate(zip(o.action.tolist(), o.gain_ticks.tolist(), o.right.tolist(), strict=True))
        ]
        return {"votes": pl.DataFrame(rows, schema=_SCHEMA, orient="row")}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns each council's turns, what its members and it were worth, and whether they failed alike."""
        if not self._sittings:
            return {}
        names = Counter(name for name, _ in self._sittings)
        return {
            "councils": {
                # Where a fork changed a council's members, each part stands by itself.
                name if names[name] == 1 else f"{name} in rounds {one.first} to {one.last}": _summed(one)
                for (name, _), one in self._sittings.items()
            }
        }


def _count(counts: Counter[str], config: CouncilConfig, texts: Sequence[str]) -> None:
    turns = list(turns_in(texts, len(config.seats)))
    found = count(turns, config.rule, config.overseers)
    counts["failed"] += len(texts) - len(turns)
    counts["turns"] += len(turns)
    counts["met"] += sum(turn.met for turn in turns)
    counts["vetoed"] += sum(one.vetoed for one in found)
    counts["abstained"] += sum(one.abstained for one in found)
    counts["nobody_voted"] += sum(one.action is None for one in found)
    counts["one_followed"] += sum(turn.alone >= 0 for turn in turns)
    counts["missing_votes"] += sum(len(turn.faults) for turn in turns)
    named = ({vote[0] for one in turn.votes for vote in one if len(vote) == 2} for turn in turns)
    counts["unanimous"] += sum(turn.met and len(actions) == 1 for turn, actions in zip(turns, named, strict=True))


def _summed(sitting: _Sitting) -> dict[str, Any]:
    config, judged = sitting.config, sitting.judged
    names = [_member(config, m) for m in range(len(config.seats))]
    found: dict[str, Any] = {
        "rule": config.rule,
        "members": names,
        **{key: sitting.counts[key] for key in COUNTED},
    }
    if not judged:
        return {**found, "judged": 0}
    # [turns, members], and [turns] for the council and for the best action of the menu.
    right = np.stack([one.right for one in judged])
    gain = np.stack([one.gain_ticks for one in judged])
    sampled = np.stack([one.sampled_ticks for one in judged])
    best = np.array([one.best_ticks for one in judged])
    council = np.array([one.council_ticks for one in judged])
    rounds = np.array([one.round for one in judged])
    # Neither who passes nor who has no vote does anything.
    acted, by_lot = np.stack([one.action > 0 for one in judged]), np.array([one.by_lot for one in judged])
    alike = failing_alike(np.stack([one.action for one in judged]), right, OPTIONS, rounds)
    # The best single member is chosen on the same turns, which favours it: what beats it is better for sure.
    accuracy = right.mean(axis=0)
    single = int(accuracy.argmax())
    return {
        **found,
        "judged": len(judged),
        "accuracy": rounded(float((council >= best).mean())),
        "regret_ticks": rounded(float((best - council).mean())),
        "best_single": names[single],
        "against_best_single": paired_over(rounds, (council >= best).astype(np.float64) - right[:, single]),
        "of_member": {
            member: {
                "accuracy": rounded(float(accuracy[m])),
                "regret_ticks": rounded(float((best - gain[:, m]).mean())),
                "more_than_lots_ticks": rounded(float((gain[:, m] - by_lot[:, 0]).mean())),
            }
            for m, member in enumerate(names)
        },
        "liars": [names[m] for m in liars(gain, acted, by_lot)],
        "best_single_sampled": {
            "times": config.samples,
            "accuracy": rounded(float((sampled[:, single] >= best).mean())),
            "regret_ticks": rounded(float((best - sampled[:, single]).mean())),
            "against": paired_over(rounds, (council >= best).astype(np.float64) - (sampled[:, single] >= best)),
        }
        if config.samples > 1
        else None,
        "error_correlation": rounded(alike.correlation),
        "n_eff": rounded(alike.n_eff),
        "all_wrong": rounded(alike.all_wrong),
        "all_wrong_if_independent": rounded(alike.independent),
        "all_wrong_ratio": [rounded(v) for v in (alike.ratio, alike.ratio_low, alike.ratio_high)],
        "same_wrong_answer": rounded(alike.same_wrong),
        "same_wrong_by_chance": rounded(alike.same_wrong_by_chance),
        "failed_alike": alike.sentence,
    }


def _member(config: CouncilConfig, member: int) -> str:
    seat = config.seats[member]
    return seat.model if seat.role in (None, seat.model) else f"{seat.model} ({seat.role})"


FACET = Councils
