"""Keeps what councils came to: who met, who was right, and whether their members failed alike."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from swarm.agents.config import CouncilConfig
from swarm.agents.votes import OPTIONS, count, turns_in
from swarm.coordination.failing_alike import failing_alike
from swarm.coordination.intervals import paired_over, rounded
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


class Councils:
    """The table `votes`, of judged turns, and counts of all turns."""

    name = "councils"

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the councils of the run and of its forks."""
        self._councils = {name: c for p in plan.plans() for name, c in p.shard.sections(CouncilConfig).items()}
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in self._councils}
        self._judged: dict[str, list[Judged]] = {name: [] for name in self._councils}
        self._rows = 0

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps what was judged, and counts the turns of each council by what they came to."""
        if not self._councils:
            return
        turns = outcome.gathered.turns
        for name in self._councils.keys() & set(turns.minds):
            rows = np.flatnonzero(turns.mind == turns.minds.index(name))
            self._count(name, [turns.text[row] for row in rows.tolist()])
        for one in outcome.judged:
            if not isinstance(one, Judged):
                continue
            # A long run is judged to its end, and only its first rows are kept.
            if self._rows < ROWS:
                self._judged[one.council].append(one)
                self._rows += len(one.action)
            else:
                self._counts[one.council]["judged_not_kept"] += 1

    def tables(self) -> Tables:
        """Returns the judged votes, one row for each member."""
        if not self._councils:
            return {}
        rows = [
            (o.round, o.council, o.trader, _member(self._councils[name], m), *values, o.council_ticks, o.best_ticks)
            for name, judged in self._judged.items()
            for o in judged
            for m, values in enumerate(zip(o.action.tolist(), o.gain_ticks.tolist(), o.right.tolist(), strict=True))
        ]
        return {"votes": pl.DataFrame(rows, schema=_SCHEMA, orient="row")}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns each council's turns, what its members and it were worth, and whether they failed alike."""
        if not self._councils:
            return {}
        return {"councils": {name: self._summed(name) for name in self._councils}}

    def _count(self, name: str, texts: Sequence[str]) -> None:
        config, counts = self._councils[name], self._counts[name]
        turns = list(turns_in(texts, len(config.seats)))
        found = count(turns, config.rule, config.overseers, config.abstain_permille)
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

    def _summed(self, name: str) -> dict[str, Any]:
        config, judged = self._councils[name], self._judged[name]
        names = [_member(config, m) for m in range(len(config.seats))]
        found: dict[str, Any] = {
            "rule": config.rule,
            "members": names,
            **{key: self._counts[name][key] for key in COUNTED},
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
                }
                for m, member in enumerate(names)
            },
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
