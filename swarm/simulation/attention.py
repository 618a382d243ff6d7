"""Who is asked in a round, why, and at which level: standing orders and the budget governor, put to a run's traders.

It turns what the round loop has at hand into the columns that `swarm.coordination` works on. All it keeps follows from
the recorded history, but for the seconds that the governor is told; so what the governor chose is recorded too, and a
replay goes by that.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.mind import Mind
from swarm.agents.minds import asking, thinks
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.coordination.assignment import OWN, Assignment
from swarm.coordination.governor import Costs, Governor, Level, Limits, Pace
from swarm.coordination.standing import REASONS, Mask, Reason, Signs, Standing, covered
from swarm.market.events import OrdersTaken, RoundCleared
from swarm.market.ledger import CASH
from swarm.market.orders import Orders
from swarm.scenarios.protocol import MarketState
from swarm.seeding import draw
from swarm.simulation.plan import RunPlan
from swarm.simulation.spending import usd_of_calls
from swarm.simulation.traders import Gathered

Float64 = npt.NDArray[np.float64]

HEARD_LINES, HISTORY_ROUNDS = 1, 5
"""What is left of what a trader hears, and of what a desk can look back on, from the level SHORTER on."""

NEED_COUNTS_ROUNDS = 3
"""Where not all who are due can be asked, those who have waited longest are; to be out of something that one needs
counts as much as so many rounds, and where all else is equal the seed draws."""

_UNKNOWN_COST = ("deadline", "timeout")
"""How a turn ended of which nobody knows what it cost: it may have been computed to its end."""


@dataclass(frozen=True, slots=True)
class Attended:
    """What a round came to: the traders that models decide for, by why they were due, and what became of the others.

    `due` is by reason; of them `asked` were asked and `held_back` were not, for the budget's sake. `standing_orders`
    were put in for traders that did not decide, after `cut_lots` had been cut off them, and `refused_orders` of them
    did not pass the market. `unheard` counts messages that the level left undelivered, and what is spent is the run's
    so far.
    """

    due: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0
    asleep: int = 0
    held_back: int = 0
    standing_orders: int = 0
    cut_lots: int = 0
    refused_orders: int = 0
    unheard: int = 0
    level: Level = Level.ALL
    spent_tokens: int = 0
    spent_usd: float = 0.0

    @classmethod
    def together(cls, parts: "Sequence[Attended]") -> "Attended":
        """Several markets' rounds as one; the level is that of the one that gives up most."""
        counts = [f.name for f in fields(cls) if f.name not in ("due", "level")]
        due = Counter[str]()
        for part in parts:
            due.update(part.due)
        sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in counts}
        return cls(due=dict(due), level=max(part.level for part in parts), **sums)


@dataclass(frozen=True, slots=True, eq=False)
class _Asking:
    """A round between the question and the answer: `ranked` are those who are due, first who would be asked first.

    `thinking` is how many traders are there that models decide for.
    """

    reasons: Int64
    ranked: Int64
    thinking: int
    signs: Signs
    pace: Pace
    heard_lines: Int64


class Attention:
    """One run's attention, from round to round."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._asking: _Asking | None = None
        self._spent = (0.0, 0.0)
        self._standing = Standing(plan.traders, len(plan.scenario.goods))
        self.under(plan)

    def under(self, plan: RunPlan) -> None:
        """Go by this plan from now on; what stands goes on standing where the same minds go on."""
        before, self._plan = self._plan.minds, plan
        shard = plan.shard
        self._thinks = thinks(shard)
        self._governed = shard.budget.governed
        self._on = bool(shard.traders.standing.max_rounds or self._governed)
        if before != plan.minds or not self._on:
            self._standing = Standing(plan.traders, len(plan.scenario.goods))
        self._bill = _Bill(plan)
        # Half of the traders whose decisions may stand for four rounds are due in a round, more or less.
        calm = 4 / (4 + shard.traders.standing.max_rounds)
        self._governor = Governor(limits(shard), self._spent, calm)

    def forget(self, traders: Int64) -> None:
        """Let nothing stand of these, who leave."""
        self._standing.forget(traders)

    def ask(self, seen: Observation, market: MarketState, cleared: RoundCleared | None) -> Observation:
        """What traders are shown in this round, with a mark at those who are asked, and at those who are not there."""
        plan, round_ = self._plan, seen.public.round
        there = plan.there(round_)
        if not self._on:
            if there.all():
                return seen
            return Observation(seen.public, replace(seen.private, assigned=Assignment.everybody(there)))
        heard_lines = np.array([len(lines) for lines in seen.private.heard], dtype=np.int64)
        signs = _signs(seen, market, cleared, heard_lines > 0)
        reasons = np.where(self._thinks & there, self._standing.reasons(round_, signs), Reason.ASLEEP)
        due = np.flatnonzero(reasons != Reason.ASLEEP)
        drawn = draw(plan.seed, "wake", round_, due) if len(due) else np.empty(0, dtype=np.uint64)
        waited = round_ - self._standing.last_decided[due] + NEED_COUNTS_ROUNDS * signs.out[due].any(axis=1)
        ranked = due[np.lexsort((drawn, -waited))]
        pace = Pace(Level.ALL, len(due))
        if self._governed:
            self._bill.open(seen)
            rounds_left = plan.rounds - round_ + 1
            pace = self._governor.choose(rounds_left, self._bill.costs(ranked, False), self._bill.costs(ranked, True))
        self._asking = _Asking(reasons, ranked, int((self._thinks & there).sum()), signs, pace, heard_lines)
        asked = np.zeros(len(there), dtype=np.bool_)
        asked[ranked[: pace.count]] = True
        assigned = self._bill.assigned(there, asked, pace.level >= Level.CHEAPER)
        private = replace(seen.private, assigned=assigned)
        if pace.level < Level.SHORTER:
            return Observation(seen.public, private)
        heard = tuple(lines[:HEARD_LINES] for lines in private.heard)
        return Observation(
            replace(seen.public, history=seen.public.history[-HISTORY_ROUNDS:]), replace(private, heard=heard)
        )

    def settle(
        self, seen: Observation, market: MarketState, gathered: Gathered, seconds: float
    ) -> tuple[Gathered, Orders, Attended]:
        """What was gathered with the pace that held, the orders that stand for the others, and what the round came to.

        A recorded round has its pace; any other gets the one that `ask` chose.
        """
        plan, round_ = self._plan, seen.public.round
        turns, decisions = gathered.turns, gathered.decisions
        asking = self._asking
        if asking is None or not self._on:
            self._charge(gathered, np.empty(0, dtype=np.int64), Level.ALL)
            tokens, usd = self._spent
            everybody = Attended(asked=len(turns), spent_tokens=round(tokens), spent_usd=usd)
            return gathered, Orders.empty(), everybody
        pace = Pace(Level(gathered.pace[0]), gathered.pace[1]) if gathered.pace else asking.pace
        if self._governed:
            gathered = replace(gathered, pace=(int(pace.level), pace.count))
        asked = asking.ranked[: pace.count]
        before = self._spent
        self._charge(gathered, asked, pace.level)
        self._governor.keep(pace, self._spent[0] - before[0], self._spent[1] - before[1], seconds, len(turns))
        errors = np.array([error is not None for error in decisions.errors], dtype=np.bool_)
        decided = np.flatnonzero(~errors)
        self._standing.decide(
            round_,
            asking.ranked,
            turns.trader[decided],
            decisions.stands.take(decided),
            decisions.orders,
            asking.signs,
        )
        standing = self._standing.orders(round_)
        standing = standing.take(self._thinks[standing.trader])
        cash = market.balances[:, CASH] // plan.market.config.tick_cents
        put_in, cut = covered(standing, cash, market.balances[:, CASH + 1 :], plan.market.config.quantity_step_lots)
        # Only what a trader that is asked would have read is lost to it.
        unheard = np.maximum(asking.heard_lines[asked] - HEARD_LINES, 0).sum() if pace.level >= Level.SHORTER else 0
        counts = np.bincount(asking.reasons, minlength=len(Reason))
        attended = Attended(
            due=dict(zip(REASONS, counts[1:].tolist(), strict=True)),
            asked=len(asked),
            asleep=asking.thinking - len(asking.ranked),
            held_back=len(asking.ranked) - len(asked),
            standing_orders=len(put_in),
            cut_lots=cut,
            unheard=int(unheard),
            level=pace.level,
            spent_tokens=round(self._spent[0]),
            spent_usd=self._spent[1],
        )
        return gathered, put_in, attended

    def _charge(self, gathered: Gathered, asked: Int64, level: Level) -> None:
        """Add what the round's turns cost. What nobody knows is taken at its worst."""
        tokens, usd = self._bill.of(gathered, level)
        late = np.intersect1d(asked, gathered.late)
        worst = self._bill.costs(late, level >= Level.CHEAPER).worst.sum(axis=1)
        self._spent = (self._spent[0] + tokens + float(worst[0]), self._spent[1] + usd + float(worst[1]))


def counted(attended: Attended, standing: Orders, taken: OrdersTaken) -> Attended:
    """The same once the market has said which of the standing orders it refused."""
    refused = int(np.isin(taken.rejected_trader, standing.trader).sum())
    return replace(attended, refused_orders=refused)


def limits(shard: ShardPlan) -> Limits:
    """The limits of a run's budget."""
    budget = shard.budget
    return Limits(
        inf if budget.run_tokens is None else float(budget.run_tokens),
        inf if budget.run_usd is None else budget.run_usd,
        inf if budget.seconds_per_round is None else budget.seconds_per_round,
    )


class _Bill:
    """What a turn costs, by mind: at worst by the config, expected by what the turns so far have taken."""

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
        lean = {name: _lean(mind, shard, prices) for name, mind in minds.items()}
        both: list[list[list[str]]] = [[sorted(minds[n].models), [lean[n]]] if n in minds else [[], []] for n in names]
        self.models = tuple(sorted(set(lean.values())))
        self._lean = np.array(
            [OWN if n not in minds or minds[n].models == {lean[n]} else self.models.index(lean[n]) for n in names]
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
        self._expected: Float64 | None = None
        # A turn of several calls reads again what it has said; a quarter of its bound is a first guess.
        self._first = np.where(calls > 1, self._most / 4, 0.0), replies[:, 0] / 2

    def open(self, seen: Observation) -> None:
        """Before the first turn, expect prompts as long as the first trader's is."""
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
        """What turns of these traders cost at their own models, or at the cheaper ones."""
        mind, which = self._mind[traders], int(cheaper)
        if self._expected is None:
            tokens = self._most[mind]
            usd = self._worst_usd[mind, which]
        else:
            tokens = np.minimum(self._expected.sum(axis=1), self._most)[mind]
            usd = (self._expected * self._price[:, which]).sum(axis=1)[mind]
        worst = np.stack([self._most[mind], self._worst_usd[mind, which]])
        return Costs(np.stack([tokens, usd]), worst)

    def of(self, gathered: Gathered, level: Level) -> tuple[float, float]:
        """Tokens and dollars of a round's turns; what is expected of later ones follows them."""
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
        if unknown.any():
            usd_of = np.bincount(calls.turn, weights=spent, minlength=len(turns))
            more = np.maximum(self._most[mind] - used.sum(axis=1), 0)[unknown]
            more_usd = np.maximum(self._worst_usd[mind, which] - usd_of, 0)[unknown]
            tokens, usd = tokens + float(more.sum()), usd + float(more_usd.sum())
        return tokens, usd


def _lean(mind: Mind, shard: ShardPlan, usd: Mapping[str, tuple[float, float]]) -> str:
    """The model that a mind is asked at where money is short."""
    return min((shard.cheaper.get(m, m) for m in sorted(mind.models)), key=lambda m: sum(usd.get(m, (0.0, 0.0))))


def _signs(seen: Observation, market: MarketState, cleared: RoundCleared | None, heard: Mask) -> Signs:
    private = seen.private
    # Who makes a good is never out of it, and where nobody barters nobody is out of anything.
    need = np.zeros_like(private.have)
    if (barter := private.barter) is not None:
        need = np.where(np.arange(need.shape[1])[None, :] == barter.makes[:, None], 0, barter.need)
    filled = np.zeros(len(private), dtype=np.bool_)
    if cleared is not None:
        filled[cleared.trades.buyer[cleared.trades.buyer < len(filled)]] = True
        filled[cleared.trades.seller[cleared.trades.seller < len(filled)]] = True
    return Signs(
        reference_ticks=market.reference_ticks,
        have=private.have,
        need=need,
        filled=filled,
        heard=heard,
    )
