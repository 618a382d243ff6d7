"""Keeps what the page shows: the newest state, that of each round before, and series over rounds for its charts.

It is a watcher of the round loop, of a run that is played as of one that is replayed. Whoever reads takes the newest
state there is: nothing waits for a slow reader, so a tab that is frozen costs nothing.
"""

import json
import secrets
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any

from swarm.live import state
from swarm.live.crowd import Crowd, evenly
from swarm.live.thinking import Thinking
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState, TakesShocks, papers_of
from swarm.simulation.dealings import ESCROW
from swarm.simulation.facets.patron import PatronPlay
from swarm.simulation.joint import JointSetting
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

PACE_ROUNDS = 10
"""Over how many rounds the pace is told."""

MOST_POINTS = 400
"""Most rounds of a series; the charts have no room for more."""

KEPT_ROWS = 100_000
"""How many turns of recent rounds are kept whole, so that a trader can be opened without a replay."""

Status = str
"""`starting`, `running`, `replaying`, `finished`, `stopped` or `failed`."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest state, as it is sent, with a number that grows with each."""

    number: int
    sent: bytes


class Feed:
    """A watcher that shows a run. `notify` is called, from the run's thread, when there is something new."""

    def __init__(self, going: str = "running", clock: Callable[[], float] = monotonic) -> None:
        """`going` is what is told of a run whose rounds come."""
        self._going = going
        self.plan: RunPlan | None = None
        self.notify: Callable[[], None] = lambda: None
        self.live: Callable[[], Mapping[str, Any]] = dict
        self._clock = clock
        self._lock = Lock()
        self._status, self._told = "starting", ""
        self._state: dict[str, Any] = {}
        self._states: dict[int, bytes] = {}
        self._series: dict[str, list[Any]] = {
            "round": [],
            "price": [],
            "volume": [],
            "gini": [],
            "wealth": [],
            "mood": [],
        }
        self._thinking, self._play = Thinking(), PatronPlay()
        self._ended_s: list[float] = []
        self._asked: list[tuple[str, int, int, str]] = []
        self._recent: dict[int, RoundOutcome] = {}
        self._number = 0
        # By it a page that comes back tells whether the run is still the one that it has shown.
        self._served = secrets.token_hex(4)
        self._newest = Newest(0, b"")

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of what run it is."""
        self.plan = plan
        self._crowd = Crowd.of(plan)
        self._play.started(plan, opening, named)
        self._ended_s = [self._clock()]
        self._state = {"round": 0, "rounds": plan.last.rounds, "price": opening.reference_ticks.tolist()}
        self.tell(self._going)

    def round_settled(self, outcome: RoundOutcome) -> None:
        """Shows a round before parties act after it."""
        # Made in the run's thread, once a round; what is sent is made of it in the server's.
        shown = {**state.market_state(outcome, self._crowd), "rounds": outcome.plan.last.rounds}
        self._thinking.count(outcome)
        answered = state.answers(outcome, self._asked)
        self._asked = []
        with self._lock:
            # What was done before the round stays to be seen while it is held.
            before = self._state.get("acts", [])
            self._state = {
                **shown,
                **self._thinking.told(),
                **self._play.board(),
                "answers": answered,
                "acts_before": before,
                "acts": [],
            }
            self._keep(outcome)
        self._publish()

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds what parties did after it, and that it is durable."""
        # A loop that shows no settled rounds shows them here.
        if self._state.get("round") != outcome.round:
            self.round_settled(outcome)
        self._ended_s = [*self._ended_s[-PACE_ROUNDS:], self._clock()]
        self._play.round_done(outcome)
        more: dict[str, Any] = {"journal": [outcome.journal.frames, outcome.journal.bytes], **self._play.board()}
        # What parties gave and took shows at once; most rounds have nothing of it.
        if any(acted.acts for own in outcome.of or (outcome,) for acted in own.acted):
            more |= {**state.owned(outcome, self._crowd), "acts": state.acts(outcome)}
            self._asked = state.questions(outcome)
        if len(self._ended_s) > 1 and not outcome.gathered.recorded:
            more["pace_s"] = round((self._ended_s[-1] - self._ended_s[0]) / (len(self._ended_s) - 1), 3)
        with self._lock:
            self._state |= more
            self._states[outcome.round] = zlib.compress(state.packed(self._state), 1)
            self._recent[outcome.round] = outcome
            self._add_to_series()
        self._publish()

    def tell(self, status: Status, told: str = "") -> None:
        """Shows how the run stands, in a word and perhaps a line."""
        with self._lock:
            self._status, self._told = status, told
        self._publish()

    def touch(self) -> None:
        """Shows what has changed beside the rounds: that the run is held, or what waits to be done."""
        self._publish()

    @property
    def newest(self) -> Newest:
        """The newest state, made when it is asked for and kept until there is another."""
        with self._lock:
            if self._newest.number != self._number or not self._newest.sent:
                head = {
                    "n": self._number,
                    "run": self._served,
                    "status": self._status,
                    "told": self._told,
                    **self.live(),
                }
                self._newest = Newest(self._number, state.packed({**self._state, **head}))
            return self._newest

    @property
    def rounds(self) -> int:
        """How many rounds are settled, one that is held before its end included."""
        return int(self._state.get("round", 0))

    @property
    def ended(self) -> int:
        """How many rounds have come to their end."""
        return len(self._states)

    def of_round(self, round_: int) -> bytes | None:
        """Returns the state of a round that has ended; None where there is none."""
        with self._lock:
            found = self._states.get(round_)
        return None if found is None else zlib.decompress(found)

    def series(self, after: int) -> bytes:
        """Returns the series of the rounds from `after` on, thinned evenly where there are more than fit, as JSON."""
        with self._lock:
            # Rounds follow each other without a gap, so they are found by their number.
            first = max(after - self._series["round"][0] + 1, 0) if self._series["round"] else 0
            rows = [first + i for i in evenly(len(self._series["round"]) - first, MOST_POINTS)]
            found = {name: [column[i] for i in rows] for name, column in self._series.items() if column}
        return json.dumps(found, separators=(",", ":")).encode()

    def recent(self, round_: int) -> RoundOutcome | None:
        """Returns a round whole, if it is one of the last few."""
        return self._recent.get(round_)

    def about(self) -> dict[str, Any]:
        """Returns what does not change while a run goes on: its name, goods, kinds and figures."""
        if (plan := self.plan) is None:
            return {}
        setting = plan.scenario
        return {
            "name": plan.name,
            "scenario": plan.scenario_name,
            "seed": plan.seed,
            "rounds": plan.last.rounds,
            "goods": list(setting.goods),
            "papers": sorted(papers_of(setting)),
            "kinds": list(setting.kinds),
            "regions": list(setting.config.all_names) if isinstance(setting, JointSetting) else [],
            "traders": plan.traders,
            "models": [model.name for model in plan.last.models],
            "usd_limit": plan.shard.budget.run_usd,
            "token_limit": plan.shard.budget.run_tokens,
            "opening": [int(t) for t in setting.opening_reference_ticks],
            "figures": self._crowd.told(plan),
            "keeps_stakes": ESCROW in plan.market.named_accounts,
            "shocks": list(setting.shock_kinds) if isinstance(setting, TakesShocks | JointSetting) else [],
        }

    def _keep(self, outcome: RoundOutcome) -> None:
        """Keeps a round whole, and lets go of those that are too much to keep."""
        self._recent[outcome.round] = outcome
        keep = max(1, KEPT_ROWS // max(outcome.plan.traders, 1))
        for old in [round_ for round_ in self._recent if round_ <= outcome.round - keep]:
            del self._recent[old]

    def _add_to_series(self) -> None:
        # In the order of the series' names.
        now = self._state
        row = (now["round"], now["price"], now["volume"], now["gini"], now["wealth"], now.get("mood"))
        for column, value in zip(self._series.values(), row, strict=True):
            column.append(value)

    def _publish(self) -> None:
        # The run's thread and the server's both come here; a number that is lost would leave a state unsent.
        with self._lock:
            self._number += 1
        self.notify()
