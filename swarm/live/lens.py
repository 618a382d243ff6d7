"""Opens one trader in one round: what it saw, said and ordered, as `swarm why` tells it.

Recent rounds of a run that goes on are at hand; older ones are told by a replay of its journals up to there.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from swarm.errors import ConfigError
from swarm.live.feed import Feed
from swarm.simulation.history import Compose
from swarm.simulation.why import Why, why

MAX_PROMPT_CHARS = 24_000


class Lens:
    """A look at single traders; one at a time, since each may be a replay."""

    def __init__(self, feed: Feed, journals: Callable[[], Mapping[str, Path]], compose: Compose) -> None:
        self._feed, self._journals, self._compose = feed, journals, compose
        self._lock = Lock()

    def trader(self, trader: int, round_: int) -> list[dict[str, Any]]:
        """Returns a trader's round in each market that it has a seat in; ConfigError where there is no such thing."""
        plan = self._feed.plan
        if plan is None or not 0 <= trader < plan.traders:
            raise ConfigError("trader", f"expected one from 0 to {plan.traders - 1 if plan else 0}, got {trader}")
        if not 1 <= round_ <= self._feed.rounds:
            raise ConfigError("round", f"expected one from 1 to {self._feed.rounds}, got {round_}")
        with self._lock:
            # At hand, or told again by the journals.
            if (outcome := self._feed.recent(round_)) is not None:
                watcher = Why(trader, round_)
                watcher.round_done(outcome)
                found = watcher.found
            else:
                found = why(self._journals(), self._compose, trader, round_)
        return [_bounded(one.record()) for one in found]


def _bounded(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record whose prompts and replies have a length that a page can show."""
    for call in record["calls"]:
        # The end of a prompt is what is its trader's own.
        call["prompt"] = [
            text if len(text) <= MAX_PROMPT_CHARS else "…" + text[-MAX_PROMPT_CHARS:] for text in call["prompt"]
        ]
        call["answer"] = call["answer"][:MAX_PROMPT_CHARS]
    return record
