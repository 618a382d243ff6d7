"""Tells what thinking costs a run, by mind: expected from what it has taken, at worst, and as recorded calls say.

It knows prices, bounds and recorded calls; who is asked, and why, it does not know.
"""

from collections.abc import Mapping
from math import inf

import numpy as np
import numpy.typing as npt

from swarm.agents.mind import Mind, TurnBound
from swarm.agents.minds import asking
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.coordination.assignment import OWN, Assignment
from swarm.coordination.governor import Costs, Level, Limits
from swarm.coordination.standing import Mask
from swarm.simulation.plan import RunPlan
from swarm.simulation.spending import usd_of_calls
from swarm.simulation.traders import Gathered

Float64 = npt.NDArray[np.float64]

_UNKNOWN_COST = ("deadline", "timeout")
"""How a turn ended of which nobody knows what it cost: it may have been computed to its end."""


def limits(shard: ShardPlan) -> Limits:
    """Returns the limits of a run's budget."""
    budget = shard.budget
    return Limits(
        inf if budget.run_tokens is None else float(budget.run_tokens),
        inf if budget.run_usd is None else budget.run_usd,
        inf if budget.seconds_per_round is None else budget.seconds_per_round,
    )


class Bill:
    """The cost of a turn by mind: at worst by the config, expected by what the turns so far have taken."""

    def __init__(self, plan: RunPlan) -> None:
        shard = plan.shard
        self._shard = shard
        names = list(dict.fromkeys(plan.minds))
        number = {name: i for i, name in enumerate(names)}
        self._mind = np.array([number[mind] for mind in plan.minds], dtype=np.int64)
        minds = asking(shard)
        self._models = plan.models
        prices = {m.name: m.usd_per_million or (0.0, 0.0) for m in plan.models}
        # Where money is short a mind of several models makes do with the cheapest that it can have.
        lean = {name: _lean(mind, shard, prices) for name, mind in minds.items() if mind.models}
        both: list[list[list[str]]] = [[sorted(minds[n].models), [lean[n]]] if n in lean else [[], []] for n in names]
        self.models = tuple(sorted(set(lean.values())))
        self._lean = np.array(
            [OWN if n not in lean or minds[n].models == {lean[n]} else self.models.index(lean[n]) for n in names]
        )
        # [minds, own or cheaper model, prompt or completion], in dollars a token; of several models, the dearest.
        self._price = (
            np.array(
                [
                    [np.max([(0.0, 0.0), *(prices[m] for m in models if m in prices)], axis=0) for models in pair]
                    for pair in both
                ]
            )
            / 1e6
        )
        replies = np.array(
            [[max((shard.completion_tokens.get(m, 0) for m in models), default=0) for models in pair] for pair in both],
            dtype=np.float64,
        )
        bounds = [(minds[n].most.tokens, minds[n].most.calls) if n in minds else (0, 1) for n in names]
        self._most = np.array([tokens for tokens, _ in bounds], dtype=np.float64)
        calls = np.array([n for _, n in bounds], dtype=np.float64)
        # Within a bound on the sum, what costs most is every reply as long as may be.
        written = np.minimum(calls[:, None] * replies, self._most[:, None])
        dearer = np.maximum(self._price[:, :, 1] - self._price[:, :, 0], 0)
        self._worst_usd = self._most[:, None] * self._price[:, :, 0] + written * dearer
        # Where a mind tells what each of its models takes, not all of a turn is the dearest one's.
        for i, name in enumerate(names):
            if name in minds and minds[name].most.of:
                self._worst_usd[i, 0] = _worst_usd(minds[name].most, shard, prices)
        self._expected: Float64 | None = None
        # [minds] dollars of turns at their own models, as a share of what they cost at the dearest of these alone.
        self._share: Float64 = np.ones(len(names))
        self._several = np.array([len(own) > 1 for own, _ in both], dtype=np.bool_)
        # A turn of several calls reads again what it has said; a quarter of its bound is a first guess.
        self._first = np.where(calls > 1, self._most / 4, 0.0), replies[:, 0] / 2

    def open(self, seen: Observation) -> None:
        """Expects, before the first turn, prompts as long as the first trader's is."""
        if self._expected is not None:
            return
        length = min((form.longest(seen, 0) for form in self._shard.forms.values()), default=0)
        at_desks, written = self._first
        self._expected = np.stack([np.maximum(at_desks, length), written], axis=1)

    def assigned(self, present: Mask, asked: Mask, cheaper: bool) -> Assignment:
        """Returns who is there and is asked, at their own models or at cheaper ones."""
        model = self._lean[self._mind] if cheaper else np.full(len(present), OWN)
        return Assignment(present, asked, model, self.models if cheaper else ())

    def costs(self, traders: Int64, cheaper: bool) -> Costs:
        """Returns what turns of these traders cost at their own models, or at the cheaper ones."""
        mind, which = self._mind[traders], int(cheaper)
        if self._expected is None:
            tokens = self._most[mind]
            usd = self._worst_usd[mind, which]
        else:
            tokens = np.minimum(self._expected.sum(axis=1), self._most)[mind]
            usd = (self._expected * self._price[:, which]).sum(axis=1)[mind]
            usd = usd if cheaper else usd * self._share[mind]
        worst = np.stack([self._most[mind], self._worst_usd[mind, which]])
        return Costs(np.stack([tokens, usd]), worst)

    def of(self, gathered: Gathered, level: Level) -> tuple[float, float]:
        """Returns tokens and dollars of a round's turns; what is expected of later ones follows them."""
        turns, calls = gathered.turns, gathered.turns.calls
        if not len(turns):
            return 0.0, 0.0
        which = int(level >= Level.CHEAPER)
        mind = self._mind[turns.trader]
        # [turns, prompt or completion] tokens.
        used = np.stack([turns.prompt_tokens, turns.completion_tokens], axis=1).astype(np.float64)
        # What a call has cost that was given up nobody knows: its turn is taken at its worst.
        lost = np.array([reason in _UNKNOWN_COST for reason in calls.finish_reason], dtype=np.bool_)
        unknown = np.zeros(len(turns), dtype=np.bool_)
        unknown[calls.turn[lost & (calls.prompt_tokens == 0)]] = True
        known = ~unknown & (used[:, 0] > 0)
        if self._expected is not None and known.any():
            turns_of = np.bincount(mind[known], minlength=len(self._most))
            for part in range(2):
                total = np.bincount(mind[known], weights=used[known, part], minlength=len(self._most))
                mean = total / np.maximum(turns_of, 1)
                self._expected[:, part] = np.where(
                    turns_of, (self._expected[:, part] + mean) / 2, self._expected[:, part]
                )
        # An engine that counts more tokens than the estimate may pass the bound of a turn; the worst case goes with it.
        before = self._most.copy()
        np.maximum.at(self._most, mind, used.sum(axis=1))
        self._worst_usd += (self._most - before)[:, None] * self._price.max(axis=2)
        # [calls] dollars; an unknown price is nothing that a budget of dollars can be held against.
        spent = np.nan_to_num(usd_of_calls(calls, turns.models, self._models))
        tokens, usd = float(used.sum()), float(spent.sum())
        usd_of = np.bincount(calls.turn, weights=spent, minlength=len(turns)).astype(np.float64)
        if not which:
            self._learn_share(mind[known], used[known], usd_of[known])
        if unknown.any():
            more = np.maximum(self._most[mind] - used.sum(axis=1), 0)[unknown]
            more_usd = np.maximum(self._worst_usd[mind, which] - usd_of, 0)[unknown]
            tokens, usd = tokens + float(more.sum()), usd + float(more_usd.sum())
        return tokens, usd

    def _learn_share(self, mind: Int64, used: Float64, usd: Float64) -> None:
        """Follows what turns of minds of several models were called at; of these [turns] minds, tokens and dollars."""
        dearest = (used * self._price[mind, 0]).sum(axis=1)
        paid, most = (np.bincount(mind, weights=column, minlength=len(self._share)) for column in (usd, dearest))
        seen = self._several & (most > 0)
        self._share[seen] = (self._share[seen] + paid[seen] / most[seen]) / 2


def _worst_usd(most: TurnBound, shard: ShardPlan, usd: Mapping[str, tuple[float, float]]) -> float:
    """Returns the most that a turn costs in dollars, by what each model takes of it."""
    found = 0.0
    for model, bound in most.of.items():
        read, said = usd.get(model, (0.0, 0.0))
        written = min(bound.calls * shard.completion_tokens.get(model, 0), bound.tokens)
        found += bound.tokens * read + written * max(said - read, 0.0)
    return found / 1e6


def _lean(mind: Mind, shard: ShardPlan, usd: Mapping[str, tuple[float, float]]) -> str:
    """Returns the model that a mind is asked at where money is short."""
    return min((shard.cheaper.get(m, m) for m in sorted(mind.models)), key=lambda m: sum(usd.get(m, (0.0, 0.0))))
