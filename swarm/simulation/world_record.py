"""Keeps the record of a run's world: one of the run, and where it has several markets one of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from swarm.market.ledger import ROAD
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.joint import joint_closing
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.market import MarketClosing
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder, RunRecord
from swarm.simulation.region import region_of


class WorldRecorder:
    """A watcher that keeps the run, and each of its markets where there are several."""

    def __init__(self) -> None:
        self._run = Recorder()
        self._regions: list[tuple[RunPlan, Recorder]] = []

    @property
    def rounds_done(self) -> int:
        """How many rounds are kept."""
        return self._run.rounds_done

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keeps what the run began with."""
        self._run.started(plan, opening, named)

    def markets_started(self, openings: Sequence[tuple[RunPlan, MarketState, Int64]]) -> None:
        """Keeps what each of several markets began with."""
        if len(openings) > 1:
            self._regions = [(plan, Recorder()) for plan, _, _ in openings]
            for (_, recorder), opening in zip(self._regions, openings, strict=True):
                recorder.started(*opening)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps one round."""
        self._run.round_done(outcome)
        for (_, recorder), own in zip(self._regions, outcome.of, strict=True):
            recorder.round_done(own)

    def finish(self, closings: Sequence[MarketClosing], extra: Mapping[str, Any]) -> RunRecord:
        """Returns the record of all rounds so far, with one of each region; `extra` is what only the caller knows."""
        record = self._run.finish(joint_closing(closings), extra)
        if not self._regions:
            return record
        names = record.summary["regions"]["names"]
        regions = {
            name: recorder.finish(closing, {**extra, "region": name})
            for name, (_, recorder), closing in zip(names, self._regions, closings, strict=True)
        }
        of = {
            name: _figures(own.summary, plan)
            for (plan, _), (name, own) in zip(self._regions, regions.items(), strict=True)
        }
        summary = {**record.summary, "regions": {**record.summary["regions"], "of": of}}
        return RunRecord(summary, record.tables, regions)


def _figures(summary: Mapping[str, Any], plan: RunPlan) -> dict[str, Any]:
    """Returns what stands of one region in the summary of the run."""
    region = region_of(plan)
    road = {asset: flow["in_other_accounts"].get(ROAD, 0) for asset, flow in summary["conservation"].items()}
    # Some figures of each region stand in the run's summary; the region's own summary has all of them.
    kept = ("trades", "volume_lots", "decision_errors", "late_turns", "journal_sha256", "conservation")
    return {"seed": plan.last.seed, "live_here": region.natives, "guests": len(region.guests.homes)} | {
        **{key: summary[key] for key in kept},
        **({"margin": summary["margin"]} if "margin" in summary else {}),
        "road": road,
    }
