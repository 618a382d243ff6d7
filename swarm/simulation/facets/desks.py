"""Keeps what turns at desks took, step by step; beyond STEP_ROWS steps the oldest rounds are left to the journal."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import polars as pl

from swarm.agents.config import DeskConfig
from swarm.agents.desk_trace import Trace
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables, known
from swarm.simulation.long_tables import columns
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

STEP_ROWS = 200_000

_STEPS: dict[str, Any] = {
    "round": pl.Int64,
    "trader": pl.Int64,
    "desk": pl.String,
    "step": pl.Int64,
    "tool": pl.String,
    "reply": pl.String,
    "result": pl.String,
    "fault": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
}


class Desks:
    """The table `steps`, and the faults of steps by desk."""

    name = "desks"

    def __init__(self) -> None:
        self._steps: deque[list[tuple[Any, ...]]] = deque()
        self._rows = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the desks of the run and of its forks."""
        plans = plan.plans()
        self._desks = {name: desk for p in plans for name, desk in p.shard.sections(DeskConfig).items()}
        self._traders = {name: n for p in plans for name, n in Counter(p.minds).items() if name in self._desks}
        self._faults: dict[str, Counter[str]] = {name: Counter() for name in self._desks}

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for each step."""
        if not (desks := outcome.plan.shard.sections(DeskConfig)):
            return
        turns, decisions = outcome.gathered.turns, outcome.gathered.decisions
        rows: list[tuple[Any, ...]] = []
        for i, (trader, desk) in enumerate(zip(turns.trader.tolist(), turns.mind_names, strict=True)):
            # Other minds' turns hold a single reply and have no steps.
            if desk not in desks:
                continue
            self._faults[desk].update(str(kind) for kind in decisions.faults[i])
            for number, step in enumerate(Trace.from_text(turns.text[i]).steps, 1):
                called = (step.tool, step.reply, step.result, step.fault, step.prompt_tokens, step.completion_tokens)
                rows.append((outcome.round, trader, desk, number, *called))
        # One part per round, so that the oldest round can go as a whole.
        self._steps.append(rows)
        self._rows += len(rows)
        # The last round is kept, however long it is: the report shows traces of it.
        while self._rows > STEP_ROWS and len(self._steps) > 1:
            self._rows -= len(self._steps.popleft())

    def tables(self) -> Tables:
        """Returns the steps."""
        return {"steps": pl.DataFrame([row for part in self._steps for row in part], schema=_STEPS, orient="row")}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns what turns at each desk took, in steps and in tokens of all their steps."""
        found: dict[str, Any] = {}
        decided = columns(tables, "decisions", "mind", "steps", "prompt_tokens", "completion_tokens")
        for name, desk in self._desks.items():
            turns = decided.filter(pl.col("mind") == name) if len(decided) else decided
            steps = known(turns, "steps")
            spent = known(turns, "prompt_tokens") + known(turns, "completion_tokens")
            found[name] = {
                "model": desk.model,
                "traders": self._traders.get(name, 0),
                "turns": len(turns),
                "steps": {**_mean_and_max(steps), "bound": desk.max_steps},
                "tokens": {**_mean_and_max(spent), "budget": desk.max_tokens},
                "faults": dict(sorted(self._faults[name].items())),
            }
        return {"desks": found}


def _mean_and_max(values: Any) -> dict[str, Any]:
    return {"mean": float(values.mean()) if len(values) else 0.0, "max": int(values.max()) if len(values) else 0}


FACET = Desks
