"""The mind `abuser`: a scripted trader that abuses a market in one known way, to see whether anybody notices.

It is a rule and no language model, and does what it does as plainly or as covertly as its `evasion` says. What it is
stands in the config alone: nothing that traders, parties or public tables see names it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from swarm.agents.decisions import Decisions
from swarm.agents.guest import decisions_sent
from swarm.agents.memory import Memory
from swarm.agents.mind import InVain, MindPlugin, Seats, Stage, TurnBound
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.recall import Recollection
from swarm.agents.tactics import (
    EVERY,
    JITTERS_PERMILLE,
    SHARES_PERMILLE,
    SILENT,
    SPEAKS,
    TACTICS,
    AbuserConfig,
    Seat,
    Wish,
)
from swarm.agents.turns import Call, Turns
from swarm.llm.protocol import FinishReason, ModelClient
from swarm.market.orders import BUY, CANCEL, LIMIT, Int64, Orders
from swarm.seeding import draw_between


class _Crew:
    """Traders of one will, and what each of them wishes in a round."""

    def __init__(self, section: AbuserConfig, plan: ShardPlan, crew: tuple[int, ...]) -> None:
        self.config = section
        self._plan = plan
        self._crew = crew
        self._good = plan.rules.goods.index(section.good) if section.good in plan.rules.goods else 0

    def wishes(self, seen: Observation, row: int) -> list[Wish]:
        """Returns the orders that a trader puts in, cut to the market's bounds."""
        rules, seat = self._plan.rules, self.seat(seen, row)
        if not self.acts(seat.round):
            return []
        cut = (
            wish._replace(
                lots=min(wish.lots, rules.max_quantity_lots), limit_ticks=min(wish.limit_ticks, rules.max_price_ticks)
            )
            for wish in TACTICS[self.config.abuse](seat, self.config)
        )
        return [wish for wish in cut if wish.lots > 0 and wish.limit_ticks > 0][: rules.max_orders]

    def talks_up(self, seen: Observation, row: int) -> str:
        """Returns the line that a trader says in this round, empty for none."""
        seat = self.seat(seen, row)
        good = SPEAKS[self.config.abuse](seat, self.config) if self.acts(seat.round) else SILENT
        return "" if good == SILENT else f"{self._plan.rules.goods[good]} will rise"

    def acts(self, round_: int) -> bool:
        """Says whether it does anything in a round; the whole crew rests at once."""
        config = self.config
        # Who was turned from outside has been there before, as anybody.
        if round_ < config.first_round:
            return config.abuse == "turned"
        marks = config.abuse == "marking" and round_ % config.closing_rounds == 0
        # Who marks closing rounds has to be there in them.
        return marks or round_ % EVERY[config.evasion] == 0

    def seat(self, seen: Observation, row: int) -> Seat:
        """Returns what a trader has and knows, as far as it stakes that."""
        config, private = self.config, seen.private
        trader, round_ = int(private.trader[row]), seen.public.round
        share = SHARES_PERMILLE[config.evasion]
        jitter = JITTERS_PERMILLE[config.evasion]
        # Drawn by trader and round, so that it is the same on any shard.
        drawn = int(draw_between(self._plan.seed, "abuser", -jitter, jitter, round_, trader)[0])

        def vary(lots: int) -> int:
            return lots * (1_000 + drawn) // 1_000 if lots < 2 else max(lots * (1_000 + drawn) // 1_000, 1)

        purse = int(private.cash_cents[row]) // self._plan.tick_cents
        return Seat(
            trader=trader,
            member=self._crew.index(trader),
            crew=len(self._crew),
            round=round_,
            good=self._good,
            price=seen.public.reference_ticks.tolist(),
            # What jitter adds must be affordable, too.
            purse=purse * share // 1_000 * 1_000 // (1_000 + jitter),
            have=(private.have[row] * share // 1_000 if share < 1_000 else private.have[row]).tolist(),
            makes=int(private.makes[row]),
            vary=vary,
            every=EVERY[config.evasion],
        )


class Abuser:
    """Traders who abuse the market alike; those of one mind are a crew."""

    learns = False

    def __init__(self, name: str, section: AbuserConfig, plan: ShardPlan) -> None:
        self.name = name
        self._crew = _Crew(section, plan, plan.crews[name])

    def orders(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """Returns the orders of all traders of this mind."""
        rows, cancels = [], []
        # Abusers are few, so they decide one by one.
        for row, trader in enumerate(seen.private.trader.tolist()):
            for sequence, wish in enumerate(self._crew.wishes(seen, row)):
                rows.append((trader, sequence, wish.good, wish.side, wish.limit_ticks, wish.lots, 0))
                cancels.append(wish.cancels_round)
        return _with_cancels(Orders.of_rows(rows), np.array(cancels, dtype=np.int64)), Memory.empty()


class SpeakingAbuser:
    """Abusers who speak besides: they send decisions as an agent from outside does, and ask no model for them."""

    def __init__(self, name: str, section: AbuserConfig, plan: ShardPlan) -> None:
        self.name = name
        self.models: frozenset[str] = frozenset()
        self.most = TurnBound(0, 0)
        self._plan = plan
        self._crew = _Crew(section, plan, plan.crews[name])

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns a turn of no call for each seat, whose text is its decision."""
        texts = [self._text(seats.seen, row) for row in seats.rows.tolist()]
        ended: list[FinishReason] = ["stop"] * len(seats)
        nothing = np.zeros(len(seats), dtype=np.int64)
        return Turns.asked_often(self.name, seats.trader, texts, ended, [()] * len(seats), nothing)

    def _text(self, seen: Observation, row: int) -> str:
        goods = self._plan.rules.goods
        orders = [
            {
                "side": "buy" if wish.side == BUY else "sell",
                "good": goods[wish.good],
                "price": wish.limit_ticks,
                "quantity": wish.lots,
            }
            for wish in self._crew.wishes(seen, row)
        ]
        return json.dumps(
            {"orders": orders, "say": self._crew.talks_up(seen, row)}, sort_keys=True, separators=(",", ":")
        )

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns the decisions that stand in the turns."""
        return decisions_sent(self._plan, turns, seats)

    def recall(self, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
        """Returns no questions, and what was decided."""
        return Recollection((), f"{self.name} decided {text}")


def _build(name: str, section: AbuserConfig, plan: ShardPlan) -> Abuser | SpeakingAbuser:
    made = SpeakingAbuser if section.abuse in SPEAKS else Abuser
    return made(name, section, plan)


def _with_cancels(orders: Orders, of_round: Int64) -> Orders:
    """Returns the same orders, of which those that name a round take back the trader's first order of it."""
    if not of_round.any():
        return orders
    return replace(orders, kind=np.where(of_round > 0, CANCEL, LIMIT), target_round=of_round)


def _in_vain(section: AbuserConfig, stage: Stage) -> InVain | None:
    """Says what an abuse needs that this run has not; without it the abuser would be another one, or none."""
    match section.abuse:
        case "insider" if not section.news_rounds:
            return InVain("news_rounds", "an insider knows of no news", "give the rounds in which it will come")
        case "wash" | "sybil" if stage.traders < 2:
            reason = f"`{section.abuse}` takes a crew, and this one is of {stage.traders}"
            return InVain("abuse", reason, "give it more weight in traders.minds, or the run more traders")
        case "pump" if not stage.listeners:
            return InVain("abuse", "nobody hears what `pump` tells", "set traders.hears to 1 or more")
        case "spoof" if not stage.rests:
            remedy = "set market.mechanism to continuous and market.rest_rounds to 1 or more"
            return InVain("abuse", "no order rests here that `spoof` could take back", remedy)
        case "squeeze" if not stage.lends:
            return InVain("abuse", "nobody here can owe what `squeeze` buys up", "set market.margin, or use `corner`")
    return None


MIND = MindPlugin(
    name="abuser",
    summary="A scripted abuser of the market, to see who notices; it asks no model.",
    Config=AbuserConfig,
    build=_build,
    crew=True,
    reads=("orders",),
    orders=True,
    writes=lambda section: section.abuse in SPEAKS,
    goods=lambda section: {} if section.good is None else {"good": section.good},
    begins=lambda section: {"first_round": (section.first_round,), "news_rounds": section.news_rounds},
    in_vain=_in_vain,
)
