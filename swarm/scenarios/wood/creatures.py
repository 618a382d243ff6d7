"""The Wood: five kinds of creatures, each the single producer of one good, who cannot live on their own harvest.

Scarcity is engineered. A meal wants several different foods and takes one of each, food spoils, the cold seasons need
firewood that one kind fells. Mood reverts to its mean and never reaches zero. Shocks are data: announced as news, with
a mechanical consequence when the round is settled.
"""

from collections.abc import Mapping

import numpy as np

from swarm.agents import forms
from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Barter, Observation
from swarm.market.config import MarketConfig
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH, ISSUE, add_at
from swarm.scenarios.protocol import (
    Choices,
    Consequence,
    Int64,
    MarketState,
    Movement,
    ReferenceMove,
    Resolved,
    private_views,
    public_view,
)
from swarm.scenarios.wood.config import GOODS, KINDS, SEASONS, Good, Season, Shock, WoodConfig
from swarm.scenarios.wood.shocks import KINDS as SHOCK_KINDS
from swarm.scenarios.wood.shocks import Shocks, fashion_permille, title
from swarm.seeding import draw, draw_between

FIREWOOD = GOODS.index("firewood")
FOODS = np.array([g for g in range(len(GOODS)) if g != FIREWOOD])

EATEN, BURNT, SPOILED, VENTURE = "eaten", "burnt", "spoiled", "venture"

MOOD_MEAN = 500
MOOD_FLOOR = 10
MOOD_CEILING = 1_000
MOOD_REVERSION = 8
"""A mood, in 1/1000, closes one part in this many of its distance to the mean each round."""

MEAL_EFFECT = (-90, -30, 20, 60, 80)
"""What a meal of 0, 1, 2, ... different foods does to a mood, in 1/1000."""

COLD_EFFECT = -50
"""What each missing lot of firewood does to a mood, in 1/1000."""


class Wood:
    """The state of the Wood's creatures and the rules by which a round changes it."""

    def __init__(self, config: WoodConfig, seed: int, traders: int, rounds: int, market: MarketConfig) -> None:
        self.config = config
        self.seed = seed
        self.rounds = rounds
        self.market = market
        self.goods: tuple[str, ...] = GOODS
        self.kinds: tuple[str, ...] = KINDS
        self.named_accounts: tuple[str, ...] = (ISSUE, EATEN, BURNT, SPOILED, VENTURE)
        self.trader = np.arange(traders)
        # Kind k makes good k, and kinds take turns, so that all are equally many.
        self.trader_kind = self.trader % len(KINDS)
        self.makes = self.trader_kind
        told = [f"YOU are {_with_article(kind)}" for kind in KINDS]
        self._facts = tuple([told[kind] for kind in self.trader_kind.tolist()])
        self.base_ticks = by_good(config.start_price_ticks)
        self.opening_reference_ticks = np.clip(self.base_ticks, 1, market.max_price_ticks)
        # [traders, goods]: what each creature would pay more or less than others, for the whole run.
        self.taste_permille = draw_between(
            seed, "taste", np.int64(700), np.int64(1_300), self.trader[:, None], np.arange(len(GOODS))[None, :]
        )
        self.mood_permille = np.full(traders, MOOD_MEAN, dtype=np.int64)
        self.foods_eaten = np.zeros(traders, dtype=np.int64)
        self.invested_cents = np.zeros(traders, dtype=np.int64)
        self._befalling = Shocks(config.shocks)
        self.shocks = self._befalling.marks(rounds)

    @property
    def shock_kinds(self) -> tuple[str, ...]:
        """The kinds of shocks."""
        return SHOCK_KINDS

    def shock_refusal(self, kind: str, good: int, rounds: int, size_permille: int) -> str:
        """Returns why there can be no such shock; empty where there can."""
        return self._befalling.refusal(kind, good, rounds, size_permille)

    def strike(self, round_: int, kind: str, good: int, rounds: int, size_permille: int) -> None:
        """Lets a shock begin in a round, beside those of the config."""
        self._befalling.strike(round_, kind, good, rounds, size_permille)
        self.shocks = self._befalling.marks(self.rounds)

    def rules_text(self) -> str:
        """Returns the setting in a few sentences."""
        need = self.config.firewood_need_lots
        return (
            "You live in the Wood and trade acorns, berries, mushrooms, honey (foods) and firewood for pebbles.\n"
            "Each round, all orders for a good meet at one price: bids at or above it buy, asks at or below sell.\n"
            f"A good meal has {self.config.meal_foods} different foods, one lot of each. Food spoils, honey hardly.\n"
            "Each round burns firewood: "
            + ", ".join(f"{season} {need[season]}" for season in SEASONS)
            + ". Hunger and cold spoil your mood."
        )

    def forms(self) -> Mapping[str, FormPlugin]:
        """Returns the forms of a market."""
        return forms.of_markets()

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        """Returns the orders, which are for the market to clear."""
        return Resolved(choices.orders)

    def opening(self) -> list[Consequence]:
        """Returns every creature's purse and stock, and its first harvest."""
        everyone = np.ones_like(self.trader)
        return [
            Movement("endowment", ISSUE, self.trader, CASH * everyone, self.config.start_pebbles * 100 * everyone),
            Movement("endowment", ISSUE, self.trader, self.makes + 1, self.config.start_stock_lots * everyone),
            self._harvest(1),
        ]

    def season(self, round_: int) -> Season:
        """Returns the season of a round; a run begins in autumn, so that the first winter comes early."""
        return SEASONS[((round_ - 1) // self.config.season_rounds + 2) % len(SEASONS)]

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """Returns prices, season and news for all, and each creature's purse, stores, needs and worths."""
        public = public_view(round_, self.rounds, self.season(round_), self._befalling.news(round_), market, last)
        have = market.balances[:, 1:]
        # [traders, goods]: of its own good a creature needs none, and of firewood alone it keeps some.
        target = self._target_stock(round_)
        own = np.arange(len(GOODS))[None, :] == self.makes[:, None]
        need = np.where(own, 0, np.maximum(target - have, 0))
        keep = np.where(own, np.where(np.arange(len(GOODS)) == FIREWOOD, target, 1), 2 * target)
        private = private_views(
            market,
            last,
            self._facts,
            barter=Barter(
                makes=self.makes,
                need=need,
                spare=np.maximum(have - keep, 0),
                worth_ticks=self._worth(round_, market.balances[:, CASH], have, target, own),
                mood=self.mood_permille // 10,
            ),
        )
        return Observation(public, private)

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """Returns what a round does: shocks, meals, firewood, spoilage and the next harvest; moods move with it."""
        # Each consequence is applied to a copy at once, so that the next one sees what is left.
        balances = market.balances.copy()
        consequences: list[Consequence] = []

        def apply(consequence: Consequence) -> None:
            consequences.append(consequence)
            if isinstance(consequence, Movement):
                for account, sign in ((consequence.source, -1), (consequence.target, 1)):
                    if not isinstance(account, str):
                        add_at(balances, account, consequence.asset, sign * consequence.amount)

        for shock in self._befalling.all:
            for consequence in self._strike(shock, round_, balances):
                apply(consequence)
        # After the shocks, creatures live on what is left; food spoils after the meal, and then the harvest comes in.
        eaten, burnt, missing = self._consume(round_, balances[:, 1:])
        apply(self._matrix_movement("meals", eaten, EATEN))
        apply(self._matrix_movement("firewood burnt", burnt, BURNT))
        self.foods_eaten = eaten.sum(axis=1)
        self._change_moods(missing)
        apply(self._matrix_movement("spoilage", self._spoil(round_, balances[:, 1:]), SPOILED))
        if round_ < self.rounds:
            apply(self._harvest(round_ + 1))
        return consequences

    def snapshot(self) -> dict[str, Int64]:
        """Returns moods, the last meal, what is in the venture, and the shocks that no config foresaw."""
        return {
            "mood_permille": self.mood_permille,
            "foods_eaten": self.foods_eaten,
            "invested_cents": self.invested_cents,
            "struck": self._befalling.snapshot(),
        }

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Goes on with these moods, meals, investments and shocks."""
        self.mood_permille = snapshot["mood_permille"]
        self.foods_eaten = snapshot["foods_eaten"]
        self.invested_cents = snapshot["invested_cents"]
        self._befalling.restore(snapshot["struck"])
        self.shocks = self._befalling.marks(self.rounds)

    def trader_columns(self) -> dict[str, Int64]:
        """Returns moods in 1/1000 and the number of foods of the last meal."""
        return {"mood_permille": self.mood_permille, "foods_eaten": self.foods_eaten}

    def _target_stock(self, round_: int) -> Int64:
        """Returns a prudent creature's store in lots, [goods]: two meals, firewood for two rounds and a lot over."""
        target = np.full(len(GOODS), 2, dtype=np.int64)
        need = self.config.firewood_need_lots
        target[FIREWOOD] = 1 + need[self.season(round_)] + need[self.season(round_ + 1)]
        return target

    def _worth(self, round_: int, cash: Int64, have: Int64, target: Int64, own: np.ndarray) -> Int64:
        """Returns what the next lot is worth in ticks, [traders, goods], by taste, urgency, mood and purse.

        The purse enters by its square root, so that the rich outbid the poor but not without bound; what is spare is
        worth half of the ordinary price.
        """
        # In 1/1000: dear while there is none, ordinary up to the target, cheap beyond; firewood for now is dearest.
        urgency = np.where(have == 0, 1_250, np.where(have < target, 1_000, 600))
        burnt = self.config.firewood_need_lots[self.season(round_)]
        urgency[:, FIREWOOD] = np.where(have[:, FIREWOOD] < burnt, 1_500, urgency[:, FIREWOOD])
        # In 1/1000: the worse the mood, the more it would pay; 0.8 to 1.2 of the ordinary worth.
        mood = 1_000 + 4 * (50 - self.mood_permille // 10)
        start = self.config.start_pebbles * 100
        # Against the purse at the start, from 0.3 to 3.
        purse = np.sqrt(cash / start)
        purse_permille = np.clip(np.floor(purse * 1_000), 300, 3_000).astype(np.int64)
        # In 1/100 of a tick, so that four roundings in a row lose little.
        worth = self.base_ticks[None, :] * self.taste_permille // 10
        worth = worth * urgency // 1_000
        worth = worth * mood[:, None] // 1_000
        worth = worth * purse_permille[:, None] // 1_000
        # Half of the ordinary worth, for its own good and for what it has too much of.
        floor = self.base_ticks[None, :] * self.taste_permille // 20
        for shock in self._befalling.all:
            worth = worth * fashion_permille(shock, round_)[None, :] // 1_000
        worth = np.where(own | (have > 2 * target), floor, worth)
        ticks: Int64 = np.clip(worth // 100, 1, self.market.max_price_ticks)
        return ticks

    def _strike(self, shock: Shock, round_: int, balances: Int64) -> list[Consequence]:
        """Returns what a shock does when `round_` is settled."""
        good, since, name = GOODS.index(shock.good), round_ - shock.round, title(shock)
        size = shock.size_permille
        match shock.kind:
            case "mania" if 0 <= since < shock.rounds:
                # Up in each round of the mania, then down at once.
                return [ReferenceMove(name, good, 1_000 + size // 4)]
            case "mania" if since == shock.rounds:
                return [ReferenceMove(name, good, 1_000 - size)]
            case "venture" if since == 0:
                return [self._deposit(name, balances, size)]
            case "venture" if since == shock.rounds:
                return self._pay_out(name, good)
            case "run" if since == 0:
                stormed = self._storm(name, balances, good, size)
                return [*stormed, ReferenceMove(name, good, 1_000 - size // 2)]
            case "blight" if since == 0:
                lost = balances[:, good + 1] * size // 1_000
                return [Movement(name, self.trader, SPOILED, np.full_like(lost, good + 1), lost)]
            case _:
                return []

    def _deposit(self, title: str, balances: Int64, size_permille: int) -> Movement:
        """Returns the posting by which every creature puts a share of its purse into the venture."""
        deposits = balances[:, CASH] * size_permille // 1_000
        # Added, so that a second venture forgets nothing of what lies in the account.
        self.invested_cents = self.invested_cents + deposits
        return Movement(title, self.trader, VENTURE, np.full_like(self.trader, CASH), deposits)

    def _pay_out(self, title: str, good: int) -> list[Consequence]:
        """Returns the postings of a failed venture: a fifth to those who paid in, the rest to its suppliers."""
        returned = self.invested_cents // 5
        rest = int((self.invested_cents - returned).sum())
        # Nobody makes the good in a population of few; then all share.
        suppliers = np.flatnonzero(self.makes == good)
        if not len(suppliers):
            suppliers = self.trader
        shares = np.full(len(suppliers), rest // len(suppliers), dtype=np.int64)
        # Odd cents go to the first ones, so that nothing is left in the venture.
        shares[: rest - int(shares.sum())] += 1
        self.invested_cents = np.zeros_like(self.invested_cents)
        return [
            Movement(title, VENTURE, self.trader, np.full_like(self.trader, CASH), returned),
            Movement(title, VENTURE, suppliers, np.full_like(suppliers, CASH), shares),
        ]

    def _storm(self, title: str, balances: Int64, good: int, size_permille: int) -> list[Consequence]:
        """Returns the posting by which the largest tenth of hoards lose a share to those who have least, lot by lot."""
        stock = balances[:, good + 1]
        # Stable, so that equal stocks stand by trader and a replay takes the same ones.
        richest_first = np.argsort(-stock, kind="stable")
        hoards = richest_first[: max(1, len(stock) // 10)]
        lost = stock[hoards] * size_permille // 1_000
        total = int(lost.sum())
        # Poorest first, in turns, until all that was lost is given out.
        others = richest_first[len(hoards) :][::-1]
        if not total or not len(others):
            return []
        source = np.repeat(hoards, lost)
        target = np.resize(others, total)
        return [Movement(title, source, target, np.full(total, good + 1), np.ones(total, dtype=np.int64))]

    def _consume(self, round_: int, stock: Int64) -> tuple[Int64, Int64, Int64]:
        """Returns lots eaten and burnt, both [traders, goods], and lots of firewood that were missing, [traders].

        A meal takes one lot of each of the foods that a creature has most of.
        """
        everyone = self.trader[:, None]
        # At most one lot of each food, of those with the largest stock first.
        eaten = np.zeros_like(stock)
        by_stock = FOODS[np.argsort(-stock[:, FOODS], axis=1, kind="stable")][:, : self.config.meal_foods]
        eaten[everyone, by_stock] = np.minimum(stock[everyone, by_stock], 1)
        wanted = self.config.firewood_need_lots[self.season(round_)]
        burnt = np.zeros_like(stock)
        burnt[:, FIREWOOD] = np.minimum(stock[:, FIREWOOD], wanted)
        return eaten, burnt, wanted - burnt[:, FIREWOOD]

    def _change_moods(self, missing_firewood: Int64) -> None:
        meal = np.array(MEAL_EFFECT)[self.foods_eaten]
        # First towards the mean, then by meal and cold.
        reverted = self.mood_permille + (MOOD_MEAN - self.mood_permille) // MOOD_REVERSION
        self.mood_permille = np.clip(reverted + meal + COLD_EFFECT * missing_firewood, MOOD_FLOOR, MOOD_CEILING)

    def _spoil(self, round_: int, stock: Int64) -> Int64:
        """Returns lots that spoil, [traders, goods]: a share of each stock, odd parts up or down by the seed's draw."""
        # From 0 to 999 in 1/1000 of a lot: a share of 0.3 lots is one lot in three rounds of ten.
        dice = draw_between(
            self.seed,
            "spoilage",
            np.int64(0),
            np.int64(999),
            round_,
            self.trader[:, None],
            np.arange(len(GOODS))[None, :],
        )
        return (stock * by_good(self.config.spoil_permille)[None, :] + dice) // 1_000

    def _harvest(self, round_: int) -> Movement:
        """Returns each creature's harvest: the ordinary one, a lot more or less by the weather, less by a blight."""
        weather = draw_between(self.seed, "weather", np.int64(-1), np.int64(1), round_, np.arange(len(KINDS)))
        # The weather is a kind's, and reaches each of its creatures or not.
        luck = (draw(self.seed, "luck", round_, self.trader) >> np.uint64(63)).astype(np.int64)
        harvest = by_good(self.config.harvest_lots)[self.makes]
        lots = np.where(harvest > 0, np.maximum(harvest + weather[self.trader_kind] * luck, 0), 0)
        for shock in self._befalling.all:
            # From the round after the announcement on, for as many rounds as the blight lasts.
            if shock.kind == "blight" and shock.round < round_ <= shock.round + shock.rounds:
                hit = self.makes == GOODS.index(shock.good)
                lots = np.where(hit, lots * (1_000 - shock.size_permille) // 1_000, lots)
        return Movement("harvest", ISSUE, self.trader, self.makes + 1, lots)

    def _matrix_movement(self, cause: str, lots: Int64, target: str) -> Movement:
        trader, good = np.nonzero(lots)
        return Movement(cause, trader, target, good + 1, lots[trader, good])


def by_good(table: dict[Good, int]) -> Int64:
    """Returns a table by good as an array in the order of GOODS, [goods]."""
    return np.array([table[g] for g in GOODS], dtype=np.int64)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
