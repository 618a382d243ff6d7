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

from swarm.agents.asking import branches_of, fitted
from swarm.agents.forms.judge import JudgeForm
from swarm.agents.forms.menu import MenuForm, chosen_letters
from swarm.agents.forms.menus import LETTERS, Menu
from swarm.agents.minds.model import ModelMindConfig
from swarm.agents.observation import Int64, Observation
from swarm.agents.prompt_digest import PromptDigest
from swarm.agents.turns import Call, Turns
from swarm.llm.engines.embedded import tokenizer
from swarm.llm.tokens import ESTIMATED
from swarm.market.counterfactual import Counterfactual
from swarm.scenarios.protocol import MarketState
from swarm.seeding import draw_some
from swarm.simulation.gains import realised_ticks
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.training.corpus import MENU_ROWS, PRIVATE_LINES, PUBLIC_LINES, Corpus, Int32

NO_LETTERS = "answered without letters of its menu"
ANOTHER_PROMPT = "another prompt than the journal's digest"
NO_CHOICE = "a menu without a choice"

FEWEST_ACTIONS = 2


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
        form = outcome.plan.shard.forms.get(MenuForm.name)
        if not isinstance(form, MenuForm):
            return
        for turn in judged_turns(outcome, form, self._per_round, self.left_out, self._models):
            letters = chosen_letters(turn.reply, len(turn.menu.actions), len(turn.menu.sayings))
            if letters is None:
                self.left_out[NO_LETTERS] += 1
                continue
            self._examples.append(_Example(form.system(), turn.shown, turn.menu, letters, turn.gains()))


@dataclass(frozen=True, slots=True, eq=False)
class JudgedTurn:
    """A model's turn: what its trader saw, in which row, its menu, what the model was shown and what it replied."""

    seen: Observation
    row: int
    menu: Menu
    shown: str
    reply: str
    again: Counterfactual

    def gains(self) -> tuple[int, ...]:
        """Returns the ticks over passing that each action would have brought, all others as they were."""
        trader = int(self.seen.private.trader[self.row])
        return tuple(realised_ticks(self.again, trader, a, self.seen, self.row) for a in self.menu.actions)


def judged_turns(
    outcome: RoundOutcome,
    form: MenuForm | JudgeForm,
    per_round: int,
    left_out: Counter[str],
    models: frozenset[str] | None = None,
) -> Iterator[JudgedTurn]:
    """Yields at most `per_round` turns of a round in which a model, of `models` where given, was asked by a form.

    Those of another prompt than the journal's digest, and of menus without a choice, are counted in `left_out`.
    """
    plan, basis, turns = outcome.plan, outcome.basis, outcome.gathered.turns
    rows = _turns_of(form.name, plan, turns, models)
    if basis is None or not len(rows):
        return
    # Who is judged is drawn, since clearing a round ten times over costs more than deciding it.
    rows = rows[draw_some(per_round, plan.seed, "advantages", outcome.round, turns.trader[rows])]
    # Rows of what was shown are by trader, rows of turns by who has answered.
    row_of = {trader: i for i, trader in enumerate(basis.seen.private.trader.tolist())}
    again = basis.counterfactual(plan)
    digest = PromptDigest(form.system(), form.shared(basis.seen.public))
    for turn in rows.tolist():
        row = row_of[int(turns.trader[turn])]
        shown = _shown(plan, form, basis.seen, row, turns.made(turn)[0], digest)
        menu = form.menu(basis.seen, row)
        if shown is None or len(menu.actions) < FEWEST_ACTIONS:
            left_out[ANOTHER_PROMPT if shown is None else NO_CHOICE] += 1
            continue
        yield JudgedTurn(basis.seen, row, menu, shown, turns.text[turn], again)


def _turns_of(form: str, plan: RunPlan, turns: Turns, models: frozenset[str] | None) -> Int64:
    """Returns the turns that one call of one model, of `models` where given, answered in a form."""
    # A mind of several calls has no one prompt that it answers.
    kinds = [plan.shard.definitions[name].section for name in turns.minds]
    single = np.array([isinstance(kind, ModelMindConfig) for kind in kinds], dtype=np.bool_)
    called = np.bincount(turns.calls.turn, minlength=len(turns)) == 1
    asked = [plan.shard.form_of.get(m) == form and (models is None or m in models) for m in turns.models]
    rows = np.flatnonzero(single[turns.mind] & called) if len(turns) else np.empty(0, dtype=np.int64)
    answered = turns.last_model[rows]
    return rows[np.array(asked, dtype=np.bool_)[answered]] if len(rows) else rows


def _shown(
    plan: RunPlan, form: MenuForm | JudgeForm, seen: Observation, row: int, call: Call, digest: PromptDigest
) -> str | None:
    """Returns the text that the model was shown, made again; None where its digest is not the journalled one."""
    budget = plan.shard.budget.tokens_per_turn - plan.shard.completion_tokens[call.model]
    prompt = fitted(form, seen, row, budget, seen.public.sizes.get(call.model, ESTIMATED))
    if prompt is None:
        return None
    text = prompt.messages[-1].content
    behind = branches_of(form)(seen, row)
    return text if digest.of("\0".join((text, *behind))) == call.prompt_digest else None
