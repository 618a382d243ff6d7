"""What decisions of cascades were worth: turns are cleared again, and how often a margin was right is kept.

Labels come free in a market: with all other orders as they were, the round is cleared once more for each action of the
menu. All of it follows from the journal, so a replay comes to the same calibration.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.agents.config import CascadeConfig
from swarm.agents.escalation import FORCED, CascadeTurn, turns_of
from swarm.agents.forms.menu import MenuForm
from swarm.agents.mind import Seats
from swarm.agents.minds import asking
from swarm.agents.minds.cascade import CascadeMind
from swarm.agents.observation import Calibration, Observation
from swarm.agents.turns import Turns
from swarm.coordination.calibration import Isotonic
from swarm.market.counterfactual import Counterfactual
from swarm.market.orders import Int64
from swarm.seeding import draw_some
from swarm.simulation.gains import gain_of, orders_decided, realised_ticks
from swarm.simulation.plan import RunPlan

LEAST_TURNS = 50
"""Judged turns before a calibration is gone by."""


@dataclass(frozen=True, slots=True)
class JudgedCascade:
    """One turn that was cleared again.

    The ticks are what the small model's decision, what held, and the best action would have brought.
    """

    round: int
    trader: int
    cascade: str
    turn: CascadeTurn
    small_ticks: int
    held_ticks: int
    best_ticks: int

    @property
    def right(self) -> bool:
        """Whether the small model's decision brought as much as any action of the menu."""
        return self.small_ticks >= self.best_ticks


class CascadeOutcomes:
    """The outcomes of all cascades of a run, from round to round."""

    def __init__(self, plan: RunPlan) -> None:
        self._sections: dict[str, CascadeConfig] = {}
        self._kept: dict[str, deque[tuple[int, bool]]] = {}
        self._known: dict[str, Calibration] = {}
        self._forced: Int64 = np.zeros(plan.traders, dtype=np.int64)
        self.under(plan)

    def __bool__(self) -> bool:
        return bool(self._sections)

    def under(self, plan: RunPlan) -> None:
        """Goes by this plan from now on; what is known of a cascade stays while it has the same small model."""
        before, self._plan = self._sections, plan
        self._sections = plan.shard.sections(CascadeConfig)
        minds = asking(plan.shard) if self._sections else {}
        self._minds = {name: mind for name, mind in minds.items() if isinstance(mind, CascadeMind)}
        for name, section in self._sections.items():
            if name not in before or before[name].small != section.small:
                self._kept[name] = deque(maxlen=section.kept_turns)
                self._known[name] = Calibration()

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """What is known of each cascade's margins before the next round."""
        return {name: self._known[name] for name in self._sections}

    @property
    def forced_round(self) -> Int64 | None:
        """[traders]: the last round in which a large model had to be asked, 0 for none; None without cascades."""
        return self._forced.copy() if self._sections else None

    def judge(
        self, seen: Observation, turns: Turns, menus: MenuForm, before: Counterfactual, round_: int
    ) -> list[JudgedCascade]:
        """Takes in a round and returns what was judged of it, at most as many turns of a cascade as its config says."""
        found: dict[str, list[tuple[int, CascadeTurn]]] = {name: [] for name in self._sections}
        for name, trader, turn in turns_of(turns, set(self._sections)):
            if turn is None:
                continue
            if turn.reason in FORCED:
                self._forced[trader] = round_
            found[name].append((trader, turn))
        judged: list[JudgedCascade] = []
        row_of = {trader: i for i, trader in enumerate(seen.private.trader.tolist())}
        for name, own in found.items():
            # Who is judged is drawn, since clearing a round again costs more than deciding it.
            traders, most = np.array([t for t, _ in own], dtype=np.int64), self._sections[name].judged_per_round
            chosen = draw_some(most, self._plan.seed, f"judged {name}", round_, traders)
            of_round = [
                self._judged(name, trader, turn, row_of[trader], seen, menus, before)
                for trader, turn in (own[i] for i in chosen.tolist())
            ]
            self._learn(name, of_round)
            judged += of_round
        return judged

    def _judged(
        self,
        name: str,
        trader: int,
        turn: CascadeTurn,
        row: int,
        seen: Observation,
        menus: MenuForm,
        before: Counterfactual,
    ) -> JudgedCascade:
        seats = Seats.at(seen, np.array([row], dtype=np.int64))
        small, held = self._minds[name].decision_of(turn, seats, row)
        actions, goods = menus.menu(seen, row).actions, self._plan.shard.rules.goods
        of_menu = [realised_ticks(before, trader, action, seen, row) for action in actions]
        gains = [
            gain_of(before.trades_had(trader, orders_decided(reading.outcome, trader, goods)), trader, seen, row)
            for reading in ((small,) if held is small else (small, held))
        ]
        return JudgedCascade(seen.public.round, trader, name, turn, gains[0], gains[-1], max(*of_menu, *gains))

    def _learn(self, name: str, judged: list[JudgedCascade]) -> None:
        kept = self._kept[name]
        margins = [(one.turn.weighed.margin_permille, one.right) for one in judged]
        kept.extend((margin, right) for margin, right in margins if margin is not None)
        if judged and len(kept) >= LEAST_TURNS:
            self._known[name] = calibration(kept)


def calibration(kept: Any) -> Calibration:
    """Returns how often margins were right, from pairs of a margin in 1/1000 and whether it was."""
    pairs = np.array([(margin, right) for margin, right in kept], dtype=np.float64).reshape(len(kept), 2)
    fitted = Isotonic.fit(pairs[:, 0], pairs[:, 1])
    right = np.rint(1_000 * fitted.probability).astype(np.int64)
    # Of points on one level the two outer ones say all.
    inner = np.zeros(len(right), dtype=np.bool_)
    inner[1:-1] = (right[1:-1] == right[:-2]) & (right[1:-1] == right[2:])
    margin = np.rint(fitted.margin).astype(np.int64)
    return Calibration(tuple(margin[~inner].tolist()), tuple(right[~inner].tolist()))
