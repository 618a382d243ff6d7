"""What cascades came to: how often the large model was asked and why, what it was worth, and how right margins were."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from swarm.agents.config import CascadeConfig
from swarm.agents.escalation import CascadeTurn, Reason, turns_of
from swarm.coordination.calibration import expected_calibration_error
from swarm.coordination.intervals import paired_over
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.cascade_outcomes import JudgedCascade
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

ROWS = 200_000
"""Most rows of the table of judged turns; what comes later is left to the journal, and counted."""

_SCHEMA: dict[str, Any] = {
    "round": pl.Int64,
    "cascade": pl.String,
    "trader": pl.Int64,
    "reason": pl.String,
    "margin_permille": pl.Int64,
    "wrong_permille": pl.Int64,
    "stake_ticks": pl.Int64,
    "price_ticks": pl.Float64,
    "small_ticks": pl.Int64,
    "held_ticks": pl.Int64,
    "best_ticks": pl.Int64,
}


class Cascades:
    """Keeps the table `escalations`, of judged turns, and counts of all turns."""

    name = "cascades"

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the cascades of the run and of its forks."""
        plans = plan.plans()
        self._cascades = {name: c for p in plans for name, c in p.shard.sections(CascadeConfig).items()}
        self._usd = {model.name: model.usd_per_million or (0.0, 0.0) for p in plans for model in p.models}
        self._priced = {model.name for p in plans for model in p.models if model.usd_per_million is not None}
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in self._cascades}
        self._reasons: dict[str, Counter[str]] = {name: Counter() for name in self._cascades}
        self._calls: dict[str, Counter[str]] = {name: Counter() for name in self._cascades}
        self._judged: dict[str, list[JudgedCascade]] = {name: [] for name in self._cascades}
        self._rows = 0

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps what was judged, and counts the turns of each cascade by what they came to."""
        if not self._cascades:
            return
        turns = outcome.gathered.turns
        for name, _, turn in turns_of(turns, set(self._cascades)):
            self._count(name, turn)
        calls, minds = turns.calls, turns.mind_names
        for row, model, prompt, written in zip(
            calls.turn.tolist(),
            calls.model.tolist(),
            calls.prompt_tokens.tolist(),
            calls.completion_tokens.tolist(),
            strict=True,
        ):
            if minds[row] in self._cascades:
                self._calls[minds[row]][turns.models[model]] += 1
                self._counts[minds[row]]["tokens"] += prompt + written
                usd = self._usd.get(turns.models[model], (0.0, 0.0))
                # In whole billionths of a dollar, whose sum does not depend on its order.
                self._counts[minds[row]]["nano_usd"] += round(1e3 * (prompt * usd[0] + written * usd[1]))
        # Councils' judged turns lie in the same list, and have a facet of their own.
        for one in outcome.judged:
            if not isinstance(one, JudgedCascade):
                continue
            if self._rows < ROWS:
                self._judged[one.cascade].append(one)
                self._rows += 1
            else:
                self._counts[one.cascade]["judged_not_kept"] += 1

    def tables(self) -> Tables:
        """Returns the judged turns."""
        if not self._cascades:
            return {}
        rows = [
            (
                o.round,
                name,
                o.trader,
                str(o.turn.reason),
                o.turn.weighed.margin_permille,
                o.turn.weighed.wrong_permille,
                o.turn.weighed.stake_ticks,
                o.turn.weighed.price_milliticks / 1_000,
                o.small_ticks,
                o.held_ticks,
                o.best_ticks,
            )
            for name, judged in self._judged.items()
            for o in judged
        ]
        return {"escalations": pl.DataFrame(rows, schema=_SCHEMA, orient="row")}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns each cascade's turns, why the large model was asked, what that cost, and what it was worth."""
        if not self._cascades:
            return {}
        return {"cascades": {name: self._summed(name) for name in self._cascades}}

    def _count(self, name: str, turn: CascadeTurn | None) -> None:
        counts = self._counts[name]
        if turn is None:
            counts["failed"] += 1
            return
        counts["turns"] += 1
        counts["bounded"] += turn.weighed.bounded
        counts["no_margin"] += turn.weighed.margin_permille is None and turn.small[0].error is None
        self._reasons[name][str(turn.reason)] += 1
        if turn.large is not None:
            counts["escalated"] += 1
            counts["large_lost"] += turn.large.error is not None

    def _summed(self, name: str) -> dict[str, Any]:
        config, judged, counts = self._cascades[name], self._judged[name], self._counts[name]
        found: dict[str, Any] = {
            "small": config.small,
            "large": config.large,
            **{key: counts[key] for key in ("turns", "escalated", "large_lost", "bounded", "no_margin", "failed")},
            "escalated_share": round(counts["escalated"] / max(counts["turns"], 1), 4),
            "reasons": {str(r): self._reasons[name][str(r)] for r in Reason if r is not Reason.NONE},
            "calls": {model: self._calls[name][model] for model in (config.small, config.large)},
            "tokens": counts["tokens"],
            "usd": round(counts["nano_usd"] / 1e9, 9) if {config.small, config.large} <= self._priced else None,
            "judged": len(judged),
        }
        if not judged:
            return found
        rounds = np.array([one.round for one in judged])
        # [judged turns] ticks that the small model alone, and the whole cascade, fell short of the best action.
        small = np.array([one.best_ticks - one.small_ticks for one in judged])
        held = np.array([one.best_ticks - one.held_ticks for one in judged])
        right = np.array([one.right for one in judged], dtype=np.float64)
        # What was foretold was so before the round was judged, so each turn is held out of its own calibration.
        foretold = 1 - np.array([one.turn.weighed.wrong_permille for one in judged]) / 1_000
        return {
            **found,
            "small_right": round(float(right.mean()), 4),
            "regret_small_ticks": round(float(small.mean()), 4),
            "regret_ticks": round(float(held.mean()), 4),
            "regret_removed_ticks": paired_over(rounds, (small - held).astype(np.float64)),
            "calibration_error": round(expected_calibration_error(foretold, right), 4),
        }


FACET = Cascades
