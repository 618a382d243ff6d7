"""Examines the embedded models: agreement with their teachers, calibration, sense, and their markets.

All of it runs on markets that no model was trained on. Nothing here needs torch.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from swarm.agents.memory import Memory
from swarm.agents.minds import definitions
from swarm.agents.observation import Int64, Observation, PrivateViews
from swarm.agents.plan import ShardPlan
from swarm.agents.policies.menu import choose, read_menu
from swarm.agents.shard import Shard
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.experiments.statistics import interval
from swarm.experiments.workers import side_by_side
from swarm.llm import engines
from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.llm.engines.embedded.engine import EmbeddedEngine
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.llm.temperament import Temperament
from swarm.market.orders import BUY
from swarm.runtime.play import Shown, play
from swarm.simulation.loop import RoundOutcome
from swarm.training.by_lot import ByLot
from swarm.training.corpus import HELD_OUT_FROM, TEMPERAMENTS, market_config
from swarm.training.surplus import Surplus

EXAMINED_FROM = HELD_OUT_FROM + 500_000
"""Markets that not even the training's own examination has seen."""

BINS = 10


def embedded(temperament: Temperament) -> EmbeddedModel:
    """Returns the config of one of the five."""
    return EmbeddedModel(name=f"tiny-{temperament}", engine="embedded", temperament=temperament)


@dataclass(slots=True)
class Marks:
    """The marks of one model on the held-out prompts."""

    seen: int = 0
    action_right: int = 0
    saying_right: int = 0
    both_right: int = 0
    chance: float = 0.0
    letters: Counter[str] = field(default_factory=Counter)
    teacher_letters: Counter[str] = field(default_factory=Counter)
    confidence: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    def add(self, reply: str, taught: str, confidence: float, actions: int) -> None:
        """Marks one answer."""
        self.seen += 1
        self.action_right += reply[0] == taught[0]
        self.saying_right += reply[1] == taught[1]
        self.both_right += reply == taught
        self.chance += 1 / actions
        self.letters[reply[0]] += 1
        self.teacher_letters[taught[0]] += 1
        self.confidence.append(confidence)
        self.right.append(reply[0] == taught[0])

    def report(self) -> dict[str, Any]:
        """Returns shares and errors in plain numbers."""
        # Agreement says little without what a guess, or one letter for all, would come to.
        common = self.teacher_letters.most_common(1)[0][1] / self.seen
        return {
            "prompts": self.seen,
            "agreement_action": round(self.action_right / self.seen, 4),
            "agreement_saying": round(self.saying_right / self.seen, 4),
            "agreement_both": round(self.both_right / self.seen, 4),
            "chance_uniform": round(self.chance / self.seen, 4),
            "chance_always_commonest_letter": round(common, 4),
            "expected_calibration_error": round(calibration_error(self.confidence, self.right), 4),
            "share_of_passes": round(self.letters["A"] / self.seen, 4),
            "share_of_commonest_letter": round(self.letters.most_common(1)[0][1] / self.seen, 4),
            "letters": {k: round(v / self.seen, 4) for k, v in sorted(self.letters.items())},
        }


def calibration_error(confidence: Sequence[float], right: Sequence[bool]) -> float:
    """Returns the expected calibration error over ten bins of equal width.

    Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks", ICML: the mean gap between confidence
    and share of right answers, weighted by how many answers a bin has.
    """
    # [answers]: a confidence of exactly 1 belongs to the last bin.
    sure, hit = np.array(confidence), np.array(right, dtype=np.float64)
    bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    gaps = [
        abs(sure[bins == b].mean() - hit[bins == b].mean()) * (bins == b).mean()
        for b in range(BINS)
        if (bins == b).any()
    ]
    return float(sum(gaps))


class _Examiner:
    """A `ModelClient` that goes on as the teacher of its trader would, and examines all five on the way."""

    def __init__(
        self, temperament: Temperament, five: Mapping[Temperament, EmbeddedEngine], marks: Mapping[Temperament, Marks]
    ) -> None:
        self.temperament = temperament
        self.five = five
        self.marks = marks

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers as the teacher; a third of the prompts that leave a choice are put to the five."""
        views = [read_menu(r.messages[-1].content) for r in requests]
        # By the request's own seed, so that the same prompts are posed in every examination.
        posed = [i for i, r in enumerate(requests) if r.seed % 3 == 0 and len(views[i].choices) > 1]
        if posed:
            for temperament, engine in self.five.items():
                marks = self.marks[temperament]
                asked = [requests[i] for i in posed]
                for i, reply, shares in zip(posed, engine.answer(asked, 600.0), engine.shares(asked), strict=True):
                    marks.add(reply.text, choose(temperament, views[i]), float(shares[0].max()), len(views[i].choices))
        return [ModelReply(choose(self.temperament, view), TokenUsage(0, 2), "stop", 0.0) for view in views]


def agreement(markets: int) -> dict[str, Any]:
    """Returns agreement with the teachers, and calibration, on `markets` markets that were held out."""
    five = {t: EmbeddedEngine(embedded(t)) for t in TEMPERAMENTS}
    by_scenario: dict[str, dict[Temperament, Marks]] = {}
    for number in range(EXAMINED_FROM, EXAMINED_FROM + markets):
        config = market_config(number)
        marks = by_scenario.setdefault(config["scenario"]["name"], {t: Marks() for t in TEMPERAMENTS})
        resolved = resolve(config)
        taught = [model for model in resolved.models if isinstance(model, ScriptedModel)]
        play(resolved, clients={m.name: _Examiner(m.temperament, five, marks) for m in taught})
    overall = {t: _merged([marks[t] for marks in by_scenario.values()]) for t in TEMPERAMENTS}
    return {
        "markets": markets,
        "all": {t: m.report() for t, m in overall.items()},
        **{name: {t: m.report() for t, m in marks.items()} for name, marks in by_scenario.items()},
    }


def _merged(parts: Sequence[Marks]) -> Marks:
    merged = Marks()
    for part in parts:
        for f in fields(Marks):
            setattr(merged, f.name, getattr(merged, f.name) + getattr(part, f.name))
    return merged


class _Watched(Surplus):
    """A market that is watched: its surplus, and the means of what its creatures' columns say, round by round."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[dict[str, float]] = []

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds a round."""
        super().round_done(outcome)
        self.columns.append({name: float(column.mean()) for name, column in outcome.trader_columns.items()})


Population = Mapping[str, int]
BY_LOT = "letters-by-lot"
"""A population, and its only mind: chance, from the menus that models answer."""


def populations() -> dict[str, Population]:
    """Returns who makes up a market, by the name it has in a report."""
    tiny = {f"tiny-{t}": {f"tiny-{t}": 1} for t in TEMPERAMENTS}
    return {
        "five tiny models": {f"tiny-{t}": 1 for t in TEMPERAMENTS},
        "zi_c": {"zi_c": 1},
        **tiny,
        "their teachers": {f"teacher-{t}": 1 for t in TEMPERAMENTS},
        BY_LOT: {BY_LOT: 1},
        "zip": {"zip": 1},
        "truthful": {"truthful": 1},
    }


def economy_config(scenario: str, minds: Population, seed: int, models: Sequence[Mapping[str, Any]] = ()) -> RunConfig:
    """Returns the config of a market of forty traders, with `models` beside those of the populations above."""
    settings: dict[str, Any] = {"name": scenario}
    if scenario == "wood":
        settings["shocks"] = [
            {"kind": "mania", "round": 8, "good": "acorns"},
            {"kind": "blight", "round": 20, "good": "mushrooms"},
        ]
    return resolve(
        {
            "seed": EXAMINED_FROM + seed,
            "rounds": 40 if scenario == "wood" else 24,
            "population": 40,
            "scenario": settings,
            "models": [
                *({"name": f"tiny-{t}", "engine": "embedded", "temperament": t} for t in TEMPERAMENTS),
                *({"name": f"teacher-{t}", "temperament": t, "form": "menu"} for t in TEMPERAMENTS),
                {"name": BY_LOT, "temperament": "value", "form": "menu"},
                *models,
            ],
            "traders": {"minds": dict(minds)},
        }
    )


def efficiency(scenario: str, minds: Population, seed: int) -> tuple[float, dict[str, float]]:
    """Returns a market's efficiency, and the means of what its creatures' columns say.

    In the double auction it is the realised surplus over the largest possible one of all periods. In the Wood it is the
    same of all rounds, each at the worths of that round.
    """
    market = _Watched()
    config = economy_config(scenario, minds, seed)
    # Chance has the seat of a rule, since it is no engine that a config could name.
    clients = engines.all_in_process(m for m in config.models if m.name in minds) | {BY_LOT: ByLot()}
    play(config, market, clients=clients)
    return market.efficiency, {name: float(np.mean([c[name] for c in market.columns])) for name in market.columns[0]}


def economics(scenario: str, seeds: int, workers: int = 1) -> dict[str, Any]:
    """Returns efficiencies of populations over the same seeds, and their paired distance from ZI-C's with its interval.

    ZI-C: Gode and Sunder 1993, "Allocative efficiency of markets with zero-intelligence traders", JPE 101(1).
    """
    # One job is a market of one population and seed; all are independent.
    chosen = populations()
    jobs = [(scenario, minds, seed) for minds in chosen.values() for seed in range(seeds)]
    flat = side_by_side(efficiency, jobs, workers)
    found = {name: flat[i * seeds : (i + 1) * seeds] for i, name in enumerate(chosen)}
    # Paired by seed: the same worths and shocks, so that luck in them cancels out.
    base = np.array([e for e, _ in found["zi_c"]])
    report: dict[str, Any] = {"seeds": seeds}
    for name, runs in found.items():
        each = np.array([e for e, _ in runs])
        mean, half = interval(each - base)
        report[name] = {
            "efficiency": round(float(each.mean()), 4),
            "lowest": round(float(each.min()), 4),
            "over_zi_c": round(mean, 4),
            "over_zi_c_95": [round(mean - half, 4), round(mean + half, 4)],
            **{column: round(float(np.mean([c[column] for _, c in runs])), 2) for column in runs[0][1]},
        }
    return report


def observations(scenario: str, seed: int) -> Iterator[tuple[ShardPlan, Observation]]:
    """Yields what traders are shown in a market of the teachers that was held out."""
    shown = Shown()
    config = economy_config(scenario, populations()["their teachers"], 1_000 + seed)
    shard = play(config, traders=shown.asking).plan.run.shard
    yield from ((shard, seen) for seen in shown.seen[2:])


def lots_at_market(shard: ShardPlan, seen: Observation, temperament: Temperament) -> tuple[Int64, Int64]:
    """Returns, by trader, lots that this model bids for at the reference price or above, and offers at it or below."""
    model = embedded(temperament)
    # The same traders, with this one model as the mind of all.
    plan = replace(
        shard,
        minds=(model.name,) * len(seen.private),
        definitions=definitions([model.name], shard.traders),
        completion_tokens={model.name: 2},
        form_of={model.name: "menu"},
    )
    client = EmbeddedEngine(model)
    answer = asyncio.run(Shard(plan, {model.name: client}).decide(seen, Memory.empty()))
    orders = answer.decisions.orders
    # Positive where the order is more generous than the reference price.
    beyond = orders.side * (orders.limit_ticks - seen.public.reference_ticks[orders.good])
    orders = orders.take(beyond >= 0)
    lots = np.zeros((2, len(seen.private)), dtype=np.int64)
    np.add.at(lots, ((orders.side != BUY).astype(np.int64), orders.trader), orders.quantity_lots)
    return lots[0], lots[1]


def sensitivity(seeds: int) -> dict[str, Any]:
    """Returns how answers change when the prompt does: worths far below the price, as they are, far above; no need.

    Shares are of traders of the Wood: those who would buy at the price or above it, of all that have a need and money,
    and those who would sell at it or below, of all that have something to spare.
    """
    report: dict[str, Any] = {}
    for temperament in TEMPERAMENTS:
        shares: dict[str, list[float]] = {}
        for seed in range(seeds):
            for nth, (shard, seen) in enumerate(observations("wood", seed)):
                # Neighbouring rounds are much alike, so every sixth is enough.
                if nth % 6:
                    continue
                for name, columns in _buyers_changed(seen).items():
                    bought, _ = lots_at_market(shard, Observation(seen.public, columns), temperament)
                    needy = (seen.private.bartering.need.sum(1) > 0) & (seen.private.cash_cents > 5_000)
                    shares.setdefault(f"would buy, {name}", []).append(float((bought[needy] > 0).mean()))
                for name, columns in _sellers_changed(seen).items():
                    _, sold = lots_at_market(shard, Observation(seen.public, columns), temperament)
                    rich = (seen.private.bartering.spare > 0).any(1)
                    shares.setdefault(f"would sell, {name}", []).append(float((sold[rich] > 0).mean()))
        report[temperament] = {name: round(float(np.mean(values)), 4) for name, values in shares.items()}
    return report


def _buyers_changed(seen: Observation) -> dict[str, PrivateViews]:
    """Returns what traders are shown where only what they would buy is worth something else, or needed no more."""
    private, price = seen.private, seen.public.reference_ticks[None, :]
    need, worth = private.bartering.need, private.bartering.worth_ticks
    return {
        "as it is": private,
        "price at twice the value": private.bartered(worth_ticks=np.where(need > 0, np.maximum(price // 2, 1), worth)),
        "value at twice the price": private.bartered(worth_ticks=np.where(need > 0, price * 2, worth)),
        "no need": private.bartered(need=np.zeros_like(need)),
    }


def _sellers_changed(seen: Observation) -> dict[str, PrivateViews]:
    """Returns what traders are shown where only what they would sell costs something else."""
    private, price = seen.private, seen.public.reference_ticks[None, :]
    spare, worth = private.bartering.spare, private.bartering.worth_ticks
    return {
        name: private.bartered(worth_ticks=np.where(spare > 0, np.maximum(cost, 1), worth))
        for name, cost in (("cost at twice the price", price * 2), ("cost at a quarter of it", price // 4))
    }


def evaluate(markets: int = 60, seeds: int = 20, workers: int = 3) -> dict[str, Any]:
    """Returns everything, in plain values."""
    return {
        "agreement": agreement(markets),
        "economics": {scenario: economics(scenario, seeds, workers) for scenario in ("wood", "double_auction")},
        "sensitivity": sensitivity(3),
    }
