"""Counts what minds did from round to round: calls, tokens and dollars by model, councils, cascades and awards."""

from collections import Counter
from typing import Any

import numpy as np

from swarm.coordination.bids import UNKNOWN, Award
from swarm.simulation.auction_outcomes import auction_turns, section_of
from swarm.simulation.cascade_outcomes import JudgedCascade
from swarm.simulation.council_outcomes import Judged
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.spending import spending

MOST_MODELS = 8


class Thinking:
    """The sums of a run so far."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._usd: dict[str, float] = {}
        self._awards: Counter[str] = Counter()
        self._judged: Counter[str] = Counter()
        self._right: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._late = 0
        self._turns = 0

    def count(self, outcome: RoundOutcome) -> None:
        """Adds a round."""
        gathered, plan = outcome.gathered, outcome.plan
        spent = spending(gathered.turns, plan.models)
        # By model: calls, tokens of prompts and replies together, and dollars where there is a price.
        for i, name in enumerate(spent.models):
            self._calls[name] += int(spent.calls[i])
            self._tokens[name] += int(spent.prompt_tokens[i] + spent.completion_tokens[i])
            if not np.isnan(spent.usd[i]):
                self._usd[name] = self._usd.get(name, 0.0) + float(spent.usd[i])
        self._turns += len(gathered.turns)
        self._late += len(gathered.late)
        self._errors.update(str(error) for error in gathered.decisions.errors if error)
        # Each market holds auctions of its own.
        for own in outcome.of or (outcome,):
            self._count_auctions(own)
        for one in outcome.judged:
            if isinstance(one, Judged):
                self._judged[one.council] += 1
                self._right[one.council] += one.council_ticks >= one.best_ticks
            elif isinstance(one, JudgedCascade):
                self._judged[one.cascade] += 1
                self._right[one.cascade] += one.held_ticks >= one.best_ticks

    def told(self) -> dict[str, Any]:
        """Returns the sums as the page shows them; what a run has none of is left out."""
        models = [
            [name, self._calls[name], self._tokens[name], round(self._usd[name], 6) if name in self._usd else None]
            for name, _ in self._calls.most_common(MOST_MODELS)
        ]
        found: dict[str, Any] = {
            "turns": self._turns,
            "tokens": sum(self._tokens.values()),
            "usd": round(sum(self._usd.values()), 6) if self._usd else None,
            "late": self._late,
            "errors": dict(self._errors.most_common(6)),
            "models": models,
        }
        if self._judged:
            found["judged"] = [[name, n, self._right[name]] for name, n in self._judged.most_common(MOST_MODELS)]
        if self._awards:
            found["awards"] = self._awards.most_common(MOST_MODELS)
        return found

    def _count_auctions(self, outcome: RoundOutcome) -> None:
        """Counts who won the auctions of a market's round."""
        if (config := section_of(outcome.plan)) is None:
            return
        for _, turn in auction_turns(outcome.gathered.turns, config):
            if isinstance(turn, Award) and turn.winner != UNKNOWN:
                self._awards[config.models[turn.winner]] += 1
