"""Examples from runs: menus as models were shown them, and what each of their actions would have brought.

With the orders of all others as they were, the round is cleared again with each action of the menu; the market is pure,
so that what an action would have brought is exact. A prompt is made again from the run and trusted only where its
digest is the journalled one. This module knows no network.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.asking import fitted
from swarm.agents.forms.menu import MenuForm, chosen_letters
from swarm.agents.forms.menus import LETTERS, Menu
from swarm.agents.minds.model import ModelMindConfig
from swarm.agents.observation import Int64, Observation
from swarm.agents.prompt_digest import PromptDigest
from swarm.agents.turns import Call, Turns
from swarm.llm.engines.embedded import tokenizer
from swarm.llm.tokens import ESTIMATED
from swarm.scenarios.protocol import MarketState
from swarm.seeding import draw_some
from swarm.simulation.gains import realised_ticks
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.training.corpus import MENU_ROWS, PRIVATE_LINES, PUBLIC_LINES, Corpus, Int32

NO_LETTERS = "answered without letters of its menu"
ANOTHER_PROMPT = "another prompt than the journal's digest"
NO_CHOICE = "a menu without a choice"


@dataclass(frozen=True, slots=True, eq=False)
class Judged(Corpus):
    """A corpus of one teacher, hindsight: its action is the one that would have brought most.

    `gains` is [prompts, MENU_ROWS] ticks over passing, 0 for passing itself, and `chosen` the letter of the action that
    was taken in the run.
    """

    gains: Int32
    chosen: npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _Example:
    """One turn: its prompt's two messages, its menu, the letters that were answered, and the ticks by action."""

    system: str
    shown: str
    menu: Menu
    letters: str
    gains: tuple[int, ...]


class Advantages:
    """Watches a run, live or replayed, and judges at most `per_round` turns a round of minds that answer menus."""

    def __init__(self, per_round: int = 40, models: frozenset[str] | None = None) -> None:
        """Judges the turns of `models` alone where they are given."""
        self.left_out: Counter[str] = Counter()
        self._per_round = per_round
        self._models = models
        self._examples: list[_Example] = []

    def __len__(self) -> int:
        return len(self._examples)

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Does nothing: only rounds are judged."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Judges turns of a round, of each market by itself."""
        for own in outcome.of or (outcome,):
            self._judge(own)

    def conversations(self, margin_ticks: int) -> Iterator[dict[str, Any]]:
        """Yields clear turns as conversations that end in the best answer; what was said stays as it was said."""
        for one in self._examples:
            best = int(np.argmax(one.gains))
            if 0 < one.gains[best] < margin_ticks:
                continue
            roles = {"system": one.system, "user": one.shown, "assistant": LETTERS[best] + one.letters[1]}
            yield {
                "messages": [{"role": role, "content": content} for role, content in roles.items()],
                "advantage_ticks": one.gains[best],
            }

    def corpus(self) -> Judged:
        """Returns the columns of all that was judged, numbered from the first public part on."""
        # Lines of what is the same for a round's traders are kept once; letters are [best, said, taken].
        publics: dict[str, int] = {}
        n = len(self._examples)
        figures = np.zeros((n, MENU_ROWS, len(tokenizer.COLUMNS)), dtype=np.int32)
        gains = np.zeros((n, MENU_ROWS), dtype=np.int32)
        private = np.zeros((n, PRIVATE_LINES, tokenizer.WIDTH), dtype=np.int16)
        letters = np.zeros((3, n), dtype=np.int16)
        round_of = np.zeros(n, dtype=np.int32)
        for i, one in enumerate(self._examples):
            shared, own = tokenizer.split_prompt(one.shown)
            round_of[i] = publics.setdefault(shared, len(publics))
            lines = tokenizer.encode(own, tokenizer.market_goods(shared))
            private[i] = tokenizer.grid(lines.rows, PRIVATE_LINES)
            actions = one.menu.actions
            figures[i, : len(actions)] = [
                (a.gain, a.expected, a.trend, a.edge, a.needs, a.buys, a.sells) for a in actions
            ]
            gains[i, : len(actions)] = one.gains
            taken, said = (LETTERS.index(letter) for letter in one.letters)
            letters[:, i] = int(np.argmax(one.gains)), said, taken
        public = [tokenizer.grid(tokenizer.encode_public(p).rows, PUBLIC_LINES) for p in publics]
        return Judged(
            public=np.array(public, dtype=np.int16).reshape(-1, PUBLIC_LINES, tokenizer.WIDTH),
            round_of=round_of,
            private=private,
            actions=letters[0][:, None],
            sayings=letters[1][:, None],
            figures=figures,
            rows=np.array([len(e.menu.actions) for e in self._examples], dtype=np.int16),
            spoken=np.array([len(e.menu.sayings) for e in self._examples], dtype=np.int16),
            gains=gains,
            chosen=letters[2],
        )

    def _judge(self, outcome: RoundOutcome) -> None:
        plan, basis, turns = outcome.plan, outcome.basis, outcome.gathered.turns
        form = plan.shard.forms.get(MenuForm.name)
        rows = _menu_turns(plan, turns, self._models)
        if basis is None or not isinstance(form, MenuForm) or not len(rows):
            return
        # Who is judged is drawn, since clearing a round ten times over costs more than deciding it.
        rows = rows[draw_some(self._per_round, plan.seed, "advantages", outcome.round, turns.trader[rows])]
        # Rows of what was shown are by trader, rows of turns by who has answered.
        row_of = {trader: i for i, trader in enumerate(basis.seen.private.trader.tolist())}
        again = basis.counterfactual(plan)
        digest = PromptDigest(form.system(), form.shared(basis.seen.public))
        for turn in rows.tolist():
            row = row_of[int(turns.trader[turn])]
            shown = _shown(plan, form, basis.seen, row, turns.made(turn)[0], digest)
            menu = form.menu(basis.seen, row)
            letters = chosen_letters(turns.text[turn], len(menu.actions), len(menu.sayings))
            if shown is None or letters is None or len(menu.actions) < 2:
                self.left_out[ANOTHER_PROMPT if shown is None else NO_LETTERS if letters is None else NO_CHOICE] += 1
                continue
            trader = int(turns.trader[turn])
            gains = tuple(realised_ticks(again, trader, action, basis.seen, row) for action in menu.actions)
            self._examples.append(_Example(form.system(), shown, menu, letters, gains))


def _menu_turns(plan: RunPlan, turns: Turns, models: frozenset[str] | None) -> Int64:
    """Returns the turns that one call of one model, of `models` where given, answered with a menu's letters."""
    # A mind of several calls has no one prompt that its letters answer.
    kinds = [plan.shard.definitions[name].section for name in turns.minds]
    single = np.array([isinstance(kind, ModelMindConfig) for kind in kinds], dtype=np.bool_)
    called = np.bincount(turns.calls.turn, minlength=len(turns)) == 1
    menus = [plan.shard.form_of.get(m) == MenuForm.name and (models is None or m in models) for m in turns.models]
    rows = np.flatnonzero(single[turns.mind] & called) if len(turns) else np.empty(0, dtype=np.int64)
    answered = turns.last_model[rows]
    return rows[np.array(menus, dtype=np.bool_)[answered]] if len(rows) else rows


def _shown(plan: RunPlan, form: MenuForm, seen: Observation, row: int, call: Call, digest: PromptDigest) -> str | None:
    """Returns the text that the model was shown, made again; None where its digest is not the journalled one."""
    budget = plan.shard.budget.tokens_per_turn - plan.shard.completion_tokens[call.model]
    prompt = fitted(form, seen, row, budget, seen.public.sizes.get(call.model, ESTIMATED))
    if prompt is None:
        return None
    text = prompt.messages[-1].content
    return text if digest.of(text) == call.prompt_digest else None
