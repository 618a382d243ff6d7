"""Tells what run it is: its config, seed and minds, part by part where forks have changed them, and its shocks."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from swarm.agents.minds import asking, guests_of, own_models
from swarm.llm import engines
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Identity:
    """The plan of a run, and how far it came."""

    name = "identity"

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keeps the plan."""
        self._plan, self._round = plan, 0

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps the round's number."""
        self._round = outcome.round

    def tables(self) -> Tables:
        """Returns no table."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns what the run is; a key that a fork may change has the value that holds at the end."""
        parts = self._parts()
        plan = parts[-1][0]
        return {
            "name": plan.name,
            "scenario": plan.scenario_name,
            "seed": plan.seed,
            "goods": list(plan.scenario.goods),
            "tick_cents": plan.market.config.tick_cents,
            "kinds": list(plan.scenario.kinds),
            "shocks": self._shocks(),
            "traders": plan.traders,
            "minds": dict(sorted(Counter(plan.minds).items())),
            "minds_of_nobody": list(plan.idle_minds),
            "engines": {model.name: model.engine for part, *_ in parts for model in part.models},
            "terms": {m.name: told for part, *_ in parts for m in part.models if (told := engines.of(m).terms(m))},
            "asks": {mind: list(models) for mind, models in sorted(own_models(plan.shard).items())},
            "config_sha256": plan.config_sha256,
            "forks": [[fork.round, fork.parent_sha256, list(fork.changes)] for fork in self._plan.forks()],
            "parts": [_told(*part) for part in parts],
        }

    def _parts(self) -> list[tuple[RunPlan, int, int]]:
        """Returns the plans under which rounds were done, each with its first and last round."""
        plans = self._plan.plans()
        # A run that was stopped early has not come to its later forks, whose parts are then empty.
        ends = [*(min(fork.round, self._round) for fork in self._plan.forks()), self._round]
        begins = [1, *(end + 1 for end in ends[:-1])]
        parts = list(zip(plans, begins, ends, strict=True))
        return [part for part in parts if part[1] <= part[2]] or parts[:1]

    def _shocks(self) -> list[dict[str, Any]]:
        """Returns the shocks of each part, as far as they reach into it; those of the last part to their end."""
        found: list[dict[str, Any]] = []
        parts = self._parts()
        for number, (plan, begin, end) in enumerate(parts):
            last_part = number == len(parts) - 1
            for shock in plan.scenario.shocks:
                # What a plan foresees beyond its own rounds was never played, except at the end of the run.
                first, last = (
                    max(shock.first_round, begin),
                    shock.last_round if last_part else min(shock.last_round, end),
                )
                if first > last:
                    continue
                told = {**asdict(shock), "first_round": first, "last_round": last}
                # A shock that a fork has cut in two is told once, from its beginning to its end.
                before = next((s for s in found if _goes_on(s, told)), None)
                if before is None:
                    found.append(told)
                else:
                    before["last_round"] = last
        return found


def _told(plan: RunPlan, begin: int, end: int) -> dict[str, Any]:
    return {
        "first_round": begin,
        "last_round": end,
        "name": plan.name,
        "seed": plan.seed,
        "config_sha256": plan.config_sha256,
        "minds": dict(sorted(Counter(plan.minds).items())),
        "engines": {model.name: model.engine for model in plan.models},
        "natures": {model.name: asdict(engines.of(model).known_as) for model in plan.models},
        "asks": {mind: list(models) for mind, models in sorted(own_models(plan.shard).items())},
        "of_several_calls": sorted(name for name, mind in asking(plan.shard).items() if mind.most.calls > 1),
        **({"guests": sorted(guests)} if (guests := guests_of(plan.shard)) else {}),
    }


def _goes_on(before: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Tells whether a shock is the same that a fork has cut in two."""
    same = all(before[key] == told[key] for key in before if key not in ("first_round", "last_round"))
    return same and bool(before["last_round"] + 1 == told["first_round"])


FACET = Identity
