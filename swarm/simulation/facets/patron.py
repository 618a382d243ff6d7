"""Keeps what a patron's purse, dealings and tips come to, and how creatures regard it: the scoreboard of its play.

Whether a tip was made up is not known here; whether it came true, prices say. Who believed it, orders say.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.ledger import CASH
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.dealings import ESCROW, PURSE
from swarm.simulation.deeds import CENTS
from swarm.simulation.evidence import of_round
from swarm.simulation.facets.protocol import Columns, Kept, Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties import read
from swarm.simulation.parties.patron import PatronConfig
from swarm.simulation.party import Act, Move
from swarm.simulation.plan import RunPlan
from swarm.simulation.tips import PartyTip, believers, tip_of

KINDS = {
    "loan": "loans made",
    "repayment": "repayments",
    "default": "pledges kept",
    "short": "shorts",
    "gain": "pebbles gained by shorts",
    "loss": "pebbles lost by shorts",
    "margin": "margin calls met",
    "bribe": "bribes promised",
    "alliance": "alliances",
    "share": "pebbles shared with allies",
}
"""What is counted, by the first word of a posting's cause."""

IN_PEBBLES = ("gain", "loss", "share")
TIPS = ("told", "believed", "came_true", "came_to_nothing")
TOLD_ROUNDS = 4
"""After how many rounds a tip is held against the price here."""


class PatronPlay:
    """The scoreboard of a run with a patron; in a run without one it keeps nothing."""

    name = "patron"

    def __init__(self) -> None:
        self._rounds = Columns()
        self._counts: Counter[str] = Counter()
        self._by_mind: dict[str, Counter[str]] = {}
        self._told: list[tuple[int, PartyTip, int]] = []
        self._tips: Counter[str] = Counter()
        self._last: list[PartyTip] = []
        self._favour: Int64 | None = None
        self._remembers = False

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the patron's aim, and of who plays from its purse."""
        self._plays = PURSE in plan.market.named_accounts
        self._configured = {
            name: one
            for name, one in plan.last.config_record.get("parties", {}).items()
            if one.get("party") == "patron"
        }
        # Of several patrons, who share a purse, the highest aim counts.
        sections = [section for _, _, section in read(self._configured)]
        played = [one for one in sections if isinstance(one, PatronConfig)]
        self._aim = max((one.objective_pebbles for one in played), default=0)
        self._purse, self._staked = 0, 0
        # A run's other parties have no part in its play; whoever is not configured is a hand.
        self._others = set(plan.last.config_record.get("parties", {})) - set(self._configured)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a round of the first market, in which patrons play."""
        if not self._plays:
            return
        own = (outcome.of or (outcome,))[0]
        self._judge(own)
        self._believed(own)
        # Deeds of this round are heard in the next one.
        self._last = []
        for acted in own.acted:
            if acted.party in self._others:
                continue
            refused = dict(acted.refused)
            for act in (act for index, act in enumerate(acted.acts) if index not in refused):
                self._did(act, own)
            self._counts["refused"] += len(refused)
            self._favour = own.favour.get(acted.party, self._favour)
        self._remembers = own.plan.shard.traders.memory is not None
        self._minds = own.plan.minds
        names = own.plan.market.named_accounts
        self._purse, self._staked = (int(own.named_balances[names.index(name)][CASH]) for name in (PURSE, ESCROW))
        row = {"round": outcome.round, "purse_cents": self._purse, "escrow_cents": self._staked}
        self._rounds.add({name: np.array([value]) for name, value in row.items()})

    def _did(self, act: Act, own: RoundOutcome) -> None:
        if isinstance(act, Move) and len(act.amount):
            kind = act.cause.split()[0]
            if kind in KINDS:
                self._counts[kind] += int(np.sum(act.amount)) if kind in IN_PEBBLES else 1
            elif act.cause.startswith("end of bribe") and not isinstance(act.target, str):
                self._counts["paid"] += 1
        elif (tip := tip_of(act, own.plan.scenario.goods)) is not None:
            self._last.append(tip)
            self._told.append((own.round + TOLD_ROUNDS, tip, int(own.state.reference_ticks[tip.good])))
            self._tips["told"] += len(tip.hearers)

    def _believed(self, own: RoundOutcome) -> None:
        """Counts who of those that were told before this round dealt as they were told."""
        if not self._last or (seen := of_round(own)) is None:
            return
        for tip in self._last:
            for trader, did in zip(tip.hearers.tolist(), believers(seen, tip).tolist(), strict=True):
                counts = self._by_mind.setdefault(own.plan.minds[trader], Counter())
                counts.update(told=1, believed=int(did))
                self._tips["believed"] += int(did)

    def _judge(self, own: RoundOutcome) -> None:
        for due, tip, ticks in self._told:
            if due == own.round:
                moved = int(np.sign(own.state.reference_ticks[tip.good] - ticks))
                self._tips["came_true" if moved == tip.side else "came_to_nothing"] += len(tip.hearers)
        self._told = [one for one in self._told if one[0] > own.round]

    def tables(self) -> Kept:
        """Returns the table of rounds, where there is a patron."""
        return {"patron": self._rounds.table()} if self._plays else {}

    def board(self) -> Mapping[str, Any]:
        """Returns how the play stands now, in pebbles and counts of what has come about; nothing without a patron."""
        if not self._plays:
            return {}
        tips = {f"tips {name.replace('_', ' ')}": self._tips[name] for name in TIPS}
        done = {told: count for told, count in (self._counted() | tips).items() if count}
        return {"patron": [self._purse / CENTS, self._staked / CENTS, self._aim, done]}

    def _counted(self) -> dict[str, float]:
        counts = {
            told: self._counts[kind] / CENTS if kind in IN_PEBBLES else self._counts[kind]
            for kind, told in KINDS.items()
        }
        return counts | {"bribes paid": self._counts["paid"], "acts refused": self._counts["refused"]}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the scoreboard, where there is a patron."""
        if not self._plays or tables["patron"].is_empty():
            return {}
        favour = [] if self._favour is None or not self._remembers else self._favour.tolist()
        return {
            "patron": {
                "purse_pebbles": self._purse / CENTS,
                "objective_pebbles": self._aim,
                "reached": self._purse >= self._aim * CENTS,
                "counts": self._counted(),
                "tips": {name: self._tips[name] for name in TIPS},
                "believed_by_mind": {mind: [c["told"], c["believed"]] for mind, c in sorted(self._by_mind.items())},
                "favour": [[n, self._minds[n], regard] for n, regard in enumerate(favour) if regard],
            }
        }


FACET = PatronPlay
