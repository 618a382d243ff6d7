"""Decides who is asked in a round, why, and at which level: puts standing decisions and a staffing to one market.

It turns what the round loop has at hand into the columns that `swarm.coordination` works on. All it keeps follows from
the recorded history, but for the seconds that the governor is told; so what the governor chose is recorded too, and a
replay goes by that.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.drafts import task_of
from swarm.agents.minds import thinks
from swarm.agents.observation import Int64, Observation
from swarm.agents.turns import Turns
from swarm.coordination.assignment import OWN, Assignment, Chosen
from swarm.coordination.governor import Level, Pace
from swarm.coordination.staffing import KEY, Briefs, Charges, Due, Paced, Setup, Spent, Succeeds, TurnCosts, read
from swarm.coordination.standing import REASONS, Mask, Reason, Signs, Standing, covered
from swarm.errors import ConfigError
from swarm.market.events import OrdersTaken, RoundCleared
from swarm.market.ledger import CASH
from swarm.market.orders import Orders
from swarm.scenarios.protocol import MarketState
from swarm.seeding import draw
from swarm.simulation.bill import Bill, limits
from swarm.simulation.compute import Charged, earned, surplus
from swarm.simulation.entries import Decided
from swarm.simulation.plan import RunPlan
from swarm.simulation.traders import Gathered

Float64 = npt.NDArray[np.float64]

HEARD_LINES, HISTORY_ROUNDS = 1, 5
"""What is left of what a trader hears, and of what a desk can look back on, from the level SHORTER on."""

NEED_COUNTS_ROUNDS = 3
"""Where not all who are due can be asked, those who have waited longest are; to be out of something that one needs
counts as much as so many rounds, and where all else is equal the seed draws."""


@dataclass(frozen=True, slots=True)
class Staffed:
    """The staffing of a round: the traders that models decide for, by why they were due, and what became of the others.

    `due` is by reason; of them `asked` were asked and `held_back` were not, for the budget's sake. `standing_orders`
    were put in for traders that did not decide, after `cut_lots` had been cut off them, and `refused_orders` of them
    did not pass the market. `unheard` counts messages that the level left undelivered, and what is spent is the run's
    so far. The cents are those of the round, where traders are charged for their turns.
    """

    due: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0
    asleep: int = 0
    held_back: int = 0
    standing_orders: int = 0
    cut_lots: int = 0
    refused_orders: int = 0
    unheard: int = 0
    paid_cents: int = 0
    given_back_cents: int = 0
    unpaid_cents: int = 0
    level: Level = Level.ALL
    spent_tokens: int = 0
    spent_usd: float = 0.0

    @classmethod
    def together(cls, parts: "Sequence[Staffed]") -> "Staffed":
        """Returns several markets' rounds as one; the level is that of the one that gives up most."""
        counts = [f.name for f in fields(cls) if f.name not in ("due", "level")]
        due = Counter[str]()
        for part in parts:
            due.update(part.due)
        sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in counts}
        return cls(due=dict(due), level=max(part.level for part in parts), **sums)


@dataclass(frozen=True, slots=True, eq=False)
class _Asking:
    """A round between question and answer: `ranked` are those who are due, first who would be asked first.

    Of them `asked` are asked, as the pace has it or, where there is one, as was `chosen`. `thinking` is how
    many traders are there that models decide for.
    """

    reasons: Int64
    ranked: Int64
    thinking: int
    signs: Signs
    pace: Pace
    chosen: Chosen | None
    asked: Int64
    heard_lines: Int64


class Staff:
    """The staff of one market, who asks from round to round those who are due, as far as the staffing lets them."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._asking: _Asking | None = None
        self._spent = (0.0, 0.0)
        self._standing = Standing(plan.traders, len(plan.scenario.goods))
        self.under(plan)

    def under(self, plan: RunPlan) -> None:
        """Goes by this plan from now on; what stands goes on standing where the same minds go on."""
        before, self._plan = self._plan.minds, plan
        shard = plan.shard
        self._thinks = thinks(shard)
        self._governed = shard.budget.governed
        self._plugin, section = read(shard.traders.staffing, self._governed)
        staffed = self._governed or shard.traders.staffing is not None
        self._on = bool(shard.traders.standing.max_rounds or staffed)
        # A decision stands as long as its trader has the mind that made it.
        if before != plan.minds or not self._on:
            self._standing = Standing(plan.traders, len(plan.scenario.goods))
        self._bill = Bill(plan)
        # Half of the traders whose decisions may stand for four rounds are due in a round, more or less.
        calm = 4 / (4 + shard.traders.standing.max_rounds)
        usd = {model.name: model.usd_per_million or (0.0, 0.0) for model in plan.models}
        setup = Setup(plan.seed, plan.traders, limits(shard), self._spent, calm, usd, plan.minds)
        past, self._staffing = getattr(self, "_staffing", None), self._plugin.build(section, setup)
        if isinstance(self._staffing, Succeeds) and type(past) is type(self._staffing):
            self._staffing.succeed(past)

    def forget(self, traders: Int64) -> None:
        """Lets nothing stand of these, who leave."""
        self._standing.forget(traders)

    def ask(
        self,
        seen: Observation,
        market: MarketState,
        cleared: RoundCleared | None,
        recorded: Decided | None = None,
    ) -> Observation:
        """Returns what traders are shown in this round, with a mark at those who are asked, and who are not there.

        A round that a journal has goes by what is `recorded` of it, whatever would be chosen now.
        """
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
        # Who has waited longest is asked first; to lack what one needs counts as waiting, and the seed parts others.
        waited = round_ - self._standing.last_decided[due] + NEED_COUNTS_ROUNDS * signs.out[due].any(axis=1)
        ranked = due[np.lexsort((drawn, -waited))]
        if self._plugin.name != "everybody":
            self._bill.open(seen)
        costs = TurnCosts(*(self._bill.costs(ranked, cheaper) for cheaper in (False, True)))
        wanted = self._staffing.assign(Due(round_, plan.rounds - round_ + 1, ranked), costs)
        # It follows from recorded spending alone, whatever pace a journal has.
        if isinstance(wanted, Pace):
            seen = Observation(replace(seen.public, shadow_permille=wanted.shadow_permille), seen.private)
        if recorded is not None:
            wanted = recorded.chosen or _paced(recorded.pace, len(ranked))
        # Short or long, what is chosen comes to a pace and to those who are asked.
        chosen, pace = None, wanted
        if isinstance(pace, Chosen):
            chosen, pace = self._checked(pace, ranked), Pace(Level.ALL, len(pace.trader))
        asking = ranked[: pace.count] if chosen is None else chosen.trader
        thinking = int((self._thinks & there).sum())
        self._asking = _Asking(reasons, ranked, thinking, signs, pace, chosen, asking, heard_lines)
        if chosen is None:
            asked = np.zeros(len(there), dtype=np.bool_)
            asked[asking] = True
            assigned = self._bill.assigned(there, asked, pace.level >= Level.CHEAPER)
        else:
            assigned = Assignment.of(there, chosen)
        private = replace(seen.private, assigned=assigned)
        if chosen is not None and recorded is None and isinstance(self._staffing, Briefs):
            goods = plan.scenario.goods
            brief = self._staffing.brief(chosen, lambda trader: task_of(seen, trader, goods))
            seen = Observation(replace(seen.public, brief=brief), seen.private)
        if pace.level < Level.SHORTER:
            return Observation(seen.public, private)
        heard = tuple(lines[:HEARD_LINES] for lines in private.heard)
        return Observation(
            replace(seen.public, history=seen.public.history[-HISTORY_ROUNDS:]), replace(private, heard=heard)
        )

    def settle(self, seen: Observation, turns: Turns, cleared: RoundCleared) -> Sequence[Charges]:
        """Returns what traders are charged for a round's turns."""
        calls, tick_cents = turns.calls, self._plan.market.config.tick_cents
        spent = Spent(
            round=seen.public.round,
            models=turns.models,
            trader=turns.trader[calls.turn],
            model=calls.model,
            prompt_tokens=calls.prompt_tokens,
            completion_tokens=calls.completion_tokens,
            turn_trader=turns.trader,
            text=turns.text,
            gained=surplus(cleared, seen, tick_cents),
        )
        return self._staffing.settle(spent, earned(cleared, self._plan.traders, tick_cents))

    def _checked(self, chosen: Chosen, due: Int64) -> Chosen:
        """Returns the same; ConfigError where somebody is asked who is not due, or at a model that the run has not."""
        models = {model.name for model in self._plan.models}
        if unknown := [name for name in chosen.models if name not in models]:
            raise ConfigError(KEY, f"{self._plugin.name} chose {unknown[0]!r}, which is no model of this run")
        in_order = (np.diff(chosen.trader) > 0).all() and len(chosen.trader) == len(chosen.model)
        if not in_order or not np.isin(chosen.trader, due).all():
            raise ConfigError(KEY, f"{self._plugin.name} chose others than are due, or not in ascending order")
        if len(chosen.model) and not OWN <= chosen.model.min() <= chosen.model.max() < len(chosen.models):
            raise ConfigError(KEY, f"{self._plugin.name} chose a model that it does not name")
        return chosen

    def take(
        self, seen: Observation, market: MarketState, gathered: Gathered, seconds: float
    ) -> tuple[Gathered, Orders, Staffed]:
        """Returns what was gathered with what the staffing chose, the orders that stand, and what the round came to."""
        plan, round_ = self._plan, seen.public.round
        turns, decisions = gathered.turns, gathered.decisions
        asking = self._asking
        if asking is None or not self._on:
            self._charge(gathered, np.empty(0, dtype=np.int64), Level.ALL)
            tokens, usd = self._spent
            everybody = Staffed(asked=len(turns), spent_tokens=round(tokens), spent_usd=usd)
            return gathered, Orders.empty(), everybody
        pace, asked = asking.pace, asking.asked
        gathered = self._noted(gathered, asking)
        before = self._spent
        self._charge(gathered, asked, pace.level)
        tokens, usd = self._spent[0] - before[0], self._spent[1] - before[1]
        self._staffing.keep(Paced(pace, tokens, usd, seconds, len(turns)))
        # Who spoilt its turn has decided nothing: what stood for it goes on standing.
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
        # Rules decide in every round and have no standing orders.
        standing = standing.take(self._thinks[standing.trader])
        cash = market.balances[:, CASH] // plan.market.config.tick_cents
        put_in, cut = covered(standing, cash, market.balances[:, CASH + 1 :], plan.market.config.quantity_step_lots)
        # Only what a trader that is asked would have read is lost to it.
        unheard = np.maximum(asking.heard_lines[asked] - HEARD_LINES, 0).sum() if pace.level >= Level.SHORTER else 0
        counts = np.bincount(asking.reasons, minlength=len(Reason))
        staffed = Staffed(
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
        return gathered, put_in, staffed

    def _noted(self, gathered: Gathered, asking: _Asking) -> Gathered:
        """Returns what was gathered, with what a journal must know of who was asked; nothing where all were."""
        chosen, pace = asking.chosen, asking.pace
        everybody = len(asking.asked) == len(asking.ranked)
        if chosen is not None:
            return gathered if everybody and (chosen.model == OWN).all() else replace(gathered, chosen=chosen)
        if self._plugin.keeps_budget or not everybody or pace.level > Level.ALL:
            return replace(gathered, pace=(int(pace.level), pace.count))
        return gathered

    def _charge(self, gathered: Gathered, asked: Int64, level: Level) -> None:
        """Adds what the round's turns cost. What nobody knows is taken at its worst."""
        tokens, usd = self._bill.of(gathered, level)
        # A shard that did not answer may have asked its models all the same.
        late = np.intersect1d(asked, gathered.late)
        worst = self._bill.costs(late, level >= Level.CHEAPER).worst.sum(axis=1)
        self._spent = (self._spent[0] + tokens + float(worst[0]), self._spent[1] + usd + float(worst[1]))


def counted(staffed: Staffed, standing: Orders, taken: OrdersTaken, charged: Charged) -> Staffed:
    """Returns the same once the market has said which of the standing orders it refused, and traders have paid."""
    refused = int(np.isin(taken.rejected_trader, standing.trader).sum())
    return replace(
        staffed,
        refused_orders=refused,
        paid_cents=charged.paid_cents,
        given_back_cents=charged.given_back_cents,
        unpaid_cents=charged.unpaid_cents,
    )


def _paced(recorded: tuple[int, int] | None, due: int) -> Pace:
    """Returns the pace of a round as a journal has it; where it has none, all who were due were asked."""
    return Pace(Level(recorded[0]), recorded[1]) if recorded else Pace(Level.ALL, due)


def _signs(seen: Observation, market: MarketState, cleared: RoundCleared | None, heard: Mask) -> Signs:
    private = seen.private
    # Who makes a good is never out of it, and where nobody barters nobody is out of anything.
    need = np.zeros_like(private.have)
    if (barter := private.barter) is not None:
        need = np.where(np.arange(need.shape[1])[None, :] == barter.makes[:, None], 0, barter.need)
    # Lenders trade, too, with numbers beyond the traders'.
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
        called=private.called,
    )
