"""Keeps the cases of a run: whom an authority sentenced, by which rule, on which figures, and who was pardoned.

Of each case it makes a file: the figures, how often its rule is wrong, and what the accused did round by round. All of
it comes from the journal, so a replay comes to the same files without the authority.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from swarm.market.evidence import Round, Traces, traces
from swarm.market.orders import Int64
from swarm.market.surveillance import SIGNS, WINDOWS
from swarm.scenarios.protocol import MarketState
from swarm.simulation.acts_told import by_party
from swarm.simulation.evidence import of_round
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.joint import JointSetting
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties.magistrate import CASE, WORDS, Spoken, rule_told, spoken
from swarm.simulation.party import Announce, Pardon, Say
from swarm.simulation.plan import RunPlan

MOST_TOLD = 500
"""How many lines of cases are kept; all of them stand in the journal."""

MOST_FILES = 100
"""How many cases have a file."""

SHOWN_ROUNDS = WINDOWS[1]
"""How many rounds before its case a file has the evidence of."""


class Cases:
    """The lines of cases, [round, party, what], in the order in which they were spoken, and a file for each."""

    name = "cases"

    def __init__(self) -> None:
        self._lines: list[list[Any]] = []
        self._files: list[dict[str, Any]] = []
        self._past: dict[str, deque[Round]] = {}

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of those parties that open cases: without one nothing is kept."""
        # By party: how its rule is wrong in a market of the run's goods.
        self._rules = {
            name: rule_told(section, one.market.mechanisms, borrows=one.market.config.margin is not None)
            for one in plan.plans()
            for name, section in one.config_record.get("parties", {}).items()
            if section.get("party") == "magistrate"
        }

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps what magistrates spoke of cases after a round; a refused act has its reason behind it."""
        for party, told, refused in by_party(outcome):
            line = told.removeprefix("news: ")
            if party in self._rules and line.startswith(CASE) and len(self._lines) < MOST_TOLD:
                self._lines.append([outcome.round, party, f"{line} (refused: {refused})" if refused else line])
        if self._rules:
            setting = outcome.plan.scenario
            names = setting.config.all_names if isinstance(setting, JointSetting) else ("",)
            for name, one in zip(names, outcome.of or (outcome,), strict=True):
                self._keep(name, one)

    def _keep(self, market: str, outcome: RoundOutcome) -> None:
        """Makes files of the cases that were opened in a market's round, and notes what became of earlier ones."""
        past = self._past.setdefault(market, deque(maxlen=SHOWN_ROUNDS))
        if (seen := of_round(outcome)) is not None:
            past.append(seen)
        for acted in (acted for acted in outcome.acted if acted.party in self._rules):
            for act in acted.acts:
                if isinstance(act, Announce) and (case := spoken(act.text)) and len(self._files) < MOST_FILES:
                    self._files.append(self._file(case, acted.party, market, outcome))
                elif isinstance(act, Say | Pardon):
                    self._add(act, acted.party, market, outcome.round)

    def _file(self, case: Spoken, party: str, market: str, outcome: RoundOutcome) -> dict[str, Any]:
        rules, goods = outcome.plan.market, outcome.plan.scenario.goods
        # Only the accused's own orders are taken out and matched again.
        past = [traces(seen, rules.mechanisms, rules.config, case.trader) for seen in self._past[market]]
        return {
            "case": case.number,
            "by": party,
            "market": market,
            "round": outcome.round,
            "trader": case.trader,
            "abuse": case.abuse,
            "sign": SIGNS[case.abuse],
            "score": case.score,
            "honest": case.honest,
            "rule": self._rules[party],
            "sentence": case.sentence,
            "appeal": "",
            "words": "",
            "evidence": [row for one in past for row in _of_trader(one, case.trader, goods)],
        }

    def _add(self, act: Say | Pardon, party: str, market: str, round_: int) -> None:
        """Adds a pardon, or a sentence in somebody's words, to the file of its case; each party numbers its own."""
        said = act.cause if isinstance(act, Pardon) else act.text
        for file in self._files:
            if (file["by"], file["market"]) == (party, market) and said.startswith(f"{CASE}{file['case']} "):
                if isinstance(act, Pardon):
                    file["appeal"] = f"pardoned after round {round_}"
                elif WORDS in said:
                    file["words"] = said.partition(WORDS)[2]

    def tables(self) -> Tables:
        """Returns no table."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the lines and the files, where there are any."""
        if not self._lines:
            return {}
        return {"cases": self._lines, **({"case_files": self._files} if self._files else {})}


def _of_trader(seen: Traces, trader: int, goods: tuple[str, ...]) -> list[dict[str, Any]]:
    """Returns what one trader did in a round, good by good, as far as it did anything."""
    found = []
    for number, good in enumerate(goods):
        figures = {
            "bought": int(seen.bought[trader, number]),
            "sold": int(seen.sold[trader, number]),
            "have": int(seen.have[trader, number]),
            "volume": int(seen.volume_lots[number]),
            "idle_permille": round(1_000 * float(seen.idle[trader, number])),
            "moved_permille": round(float(seen.moved[trader, number])),
            "pushed_permille": round(float(seen.pushed[trader, number])),
            "bid_ticks": int(seen.bid_ticks[trader, number]),
            "tipped": int(seen.tipped[trader, number]),
        }
        if any(value for key, value in figures.items() if key not in ("have", "volume")):
            found.append({"round": seen.round, "good": good, **figures})
    return found


FACET = Cases
