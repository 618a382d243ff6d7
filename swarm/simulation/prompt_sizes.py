"""Learns what engines make of prompts, from each round's own turns and from nothing else.

A budget bounds what the engine counts, and prompts are cut to it before they are asked. So after each round some of its
prompts are rendered again and the engine's count is held against the estimate; the next round's are cut by that. The
first round is the measurement: nobody has heard anything yet, so nothing is cut in it. All of it follows from the
journal, and a run that goes on cuts as it would have.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from swarm.agents.minds import asking
from swarm.agents.observation import Observation
from swarm.agents.prompt import Prompt
from swarm.agents.turns import Turns
from swarm.llm.protocol import ENGINE_FAILURES
from swarm.llm.tokens import ESTIMATED, TokenSize
from swarm.simulation.plan import RunPlan

log = logging.getLogger(__name__)

SAMPLES = 16
"""Prompts of each mind that are looked at in a round; they differ in little but numbers."""

MOST_TOKENS = 1_000_000
"""A count of more than this is no count."""


class PromptSizes:
    """The sizes of a run's prompts by model, for models whose tokenizers may count more."""

    def __init__(self, plan: RunPlan) -> None:
        self.now: Mapping[str, TokenSize] = {}
        self._told: set[str] = set()
        self.under(plan)

    def under(self, plan: RunPlan) -> None:
        """Goes by this plan from now on; what was learned of a model stays."""
        self._plan = plan
        self._measured = frozenset(m.name for m in plan.models if m.may_count_more)
        # What makes several calls in a turn has prompts of its own.
        minds = asking(plan.shard) if self._measured else {}
        self._single = {name: mind for name, mind in minds.items() if mind.most.calls == 1 and len(mind.models) == 1}

    def learn(self, seen: Observation, turns: Turns) -> None:
        """Holds what engines counted in a round against what was estimated."""
        sizes = dict(self.now)
        for model, counted, prompt, heard in self._counted(seen, turns):
            sizes[model] = sizes.get(model, ESTIMATED).learned(counted, prompt.tokens, prompt.further_digits)
            # Without gossip a prompt is as short as it gets: one that is too long now will always be.
            if not heard and model not in self._told:
                self._tell(model, counted, prompt.tokens)
        self.now = {model: size for model, size in sizes.items() if not size.as_estimated}

    def _counted(self, seen: Observation, turns: Turns) -> Iterator[tuple[str, int, Prompt, tuple[str, ...]]]:
        """Yields the model, its engine's count, the prompt and the gossip in it, for the first turns of each mind."""
        calls = turns.calls
        for index, name in enumerate(turns.minds):
            if name not in self._single:
                continue
            form = self._plan.shard.form(next(iter(self._single[name].models)))
            rows = np.flatnonzero(turns.mind == index)[:SAMPLES]
            shown = _as_shown(seen, turns, rows)
            for call in np.flatnonzero(np.isin(calls.turn, rows)).tolist():
                model, counted = turns.models[int(calls.model[call])], int(calls.prompt_tokens[call])
                failed = calls.finish_reason[call] in ENGINE_FAILURES
                if model not in self._measured or failed or not 0 < counted <= MOST_TOKENS:
                    continue
                row = int(turns.trader[int(calls.turn[call])])
                # Rendered without a bound, since what was shown has been cut already.
                if (prompt := form.render(shown, row, MOST_TOKENS)) is not None:
                    yield model, counted, prompt, shown.private.heard[row]

    def _tell(self, model: str, counted: int, estimate: int) -> None:
        """Warns once of a model whose prompts fit no turn even without gossip, so that it will not be asked."""
        limit, reply = self._plan.shard.budget.tokens_per_turn, self._plan.shard.completion_tokens[model]
        if counted + reply <= limit:
            return
        self._told.add(model)
        log.warning(
            "models: %s: its engine counts %d tokens for a prompt estimated at %d, which with a reply of %d is "
            "more than budget.tokens_per_turn (%d), so such turns are lost; raise it, or lower max_completion_tokens",
            *(model, counted, estimate, reply, limit),
        )


def _as_shown(seen: Observation, turns: Turns, rows: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> Observation:
    """Returns the observation with what these turns' traders were shown of what they heard."""
    heard = list(seen.private.heard)
    for row in rows.tolist():
        trader, pruned = int(turns.trader[row]), int(turns.pruned_messages[row])
        # Prompts are cut from the end of what was heard.
        heard[trader] = heard[trader][: max(len(heard[trader]) - pruned, 0)]
    return Observation(seen.public, replace(seen.private, heard=tuple(heard)))
