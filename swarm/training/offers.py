"""Examples for a model that judges: menus as it is shown them, and how good each action is.

A menu is a prompt and one line for each action. Of simulated markets a temperament's rule says what an action is worth;
of runs the market itself does, cleared again with each. Menus of traders of the same round are kept together, since
most of their text is the same. This module knows no network.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from swarm.agents.forms.judge import JudgeForm
from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.menus import Action
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.observation import Int64
from swarm.agents.policies.menu import WORST_GAIN, read_menu, scores
from swarm.config_file import resolve
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament
from swarm.runtime.play import Shown, play
from swarm.scenarios.protocol import MarketState
from swarm.seeding import draw
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.training.advantages import judged_turns
from swarm.training.corpus import market_config

ROUNDS_OF_A_MARKET = 4
MENUS_OF_A_ROUND = 4
FEWEST_ACTIONS = 3
PROMPT_TOKENS = 1_000
"""Budget that prompts are made for, by the project's estimate, together with all actions."""


@dataclass(frozen=True, slots=True)
class Offers:
    """One trader's menu: the prompt, a line for each action, what each is worth in ticks over passing, and the best.

    What a rule cannot bear counts as the worst of all.
    """

    messages: tuple[Message, ...]
    lines: tuple[str, ...]
    worth: tuple[int, ...]
    best: int


OfRound = tuple[Offers, ...]

UNBEARABLE = -99
"""What an action is worth, in ticks, that loses more than the rule can bear."""


def offers_of(first_market: int, menus: int, temperament: Temperament = "value") -> tuple[list[OfRound], int]:
    """Returns so many menus of markets from this number on, by round, and the number of the next market."""
    found: list[OfRound] = []
    number = first_market
    while sum(map(len, found)) < menus:
        # The double auction has one good, whose menus are too short to be worth a prompt.
        if market_config(number)["scenario"]["name"] == "wood":
            found += _rounds(number, temperament)
        number += 1
    return first_of(found, menus), number


def first_of(rounds: Sequence[OfRound], menus: int) -> list[OfRound]:
    """Returns the first so many menus of rounds, the last of which may be a part of one."""
    found: list[OfRound] = []
    for of_round in rounds:
        if kept := of_round[:menus]:
            found.append(kept)
        menus -= len(kept)
    return found


class HindsightOffers:
    """Watches a run, live or replayed: turns that a model judged or chose from a menu, and what each action brings."""

    def __init__(self, per_round: int = MENUS_OF_A_ROUND) -> None:
        self.rounds: list[OfRound] = []
        self.left_out: Counter[str] = Counter()
        self._per_round = per_round

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Does nothing: only rounds are judged."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps turns of a round, of each market by itself."""
        for own in outcome.of or (outcome,):
            shard = own.plan.shard
            form = JudgeForm(FormTerms(shard.scenario_rules, shard.seed, shard.rules, shard.tick_cents))
            kept: dict[tuple[str, ...], Offers] = {}
            asked = (f for f in shard.forms.values() if isinstance(f, MenuForm | JudgeForm))
            for turn in (t for f in asked for t in judged_turns(own, f, self._per_round, self.left_out)):
                prompt, lines = form.render(turn.seen, turn.row, PROMPT_TOKENS), form.branches(turn.seen, turn.row)
                if prompt and lines not in kept:
                    gains = turn.gains()
                    kept[lines] = Offers(prompt.messages, lines, gains, gains.index(max(gains)))
            if kept:
                self.rounds.append(tuple(kept.values()))


def value_of(action: Action) -> int:
    """Returns what the value rule compares."""
    return action.expected if action.gain >= WORST_GAIN else UNBEARABLE


def best_of(actions: Sequence[Action]) -> int:
    """Returns the index of the action that the value rule takes."""
    values = [value_of(action) for action in actions]
    return values.index(max(values))


def worth_of(temperament: Temperament, menu: str) -> tuple[int, ...]:
    """Returns what each action of a menu in a prompt's text is worth to a temperament."""
    scored = scores(temperament, read_menu(menu))
    worst = min((s for s in scored if s is not None), default=0)
    return tuple(min(UNBEARABLE, worst - 1) if s is None else s for s in scored)


def _rounds(number: int, temperament: Temperament) -> Iterator[OfRound]:
    """Yields menus of some rounds of one market, both drawn."""
    shown = Shown()
    shard = play(resolve(market_config(number)), traders=shown.asking).plan.run.shard
    terms = FormTerms(shard.scenario_rules, shard.seed, shard.rules, shard.tick_cents)
    form, menus = JudgeForm(terms), MenuForm(terms)
    # The first round is the same for nearly everybody.
    rounds = np.argsort(draw(number, "offers", np.arange(1, len(shown.seen))))[:ROUNDS_OF_A_MARKET] + 1
    for seen in (shown.seen[i] for i in sorted(rounds.tolist())):
        rows = np.argsort(draw(number, "offered", seen.public.round, seen.private.trader)).tolist()
        kept: dict[tuple[str, ...], Offers] = {}
        for row in rows:
            prompt, lettered = form.render(seen, row, PROMPT_TOKENS), menus.render(seen, row, PROMPT_TOKENS)
            lines = form.branches(seen, row)
            # Traders in the same state are asked the same, which would otherwise weigh as often as it is asked.
            if prompt and lettered and lines not in kept and len(lines) >= FEWEST_ACTIONS:
                # The rules read the figures of all actions in the text of the other form.
                worth = worth_of(temperament, lettered.messages[-1].content)
                kept[lines] = Offers(prompt.messages, lines, worth, worth.index(max(worth)))
            if len(kept) == MENUS_OF_A_ROUND:
                break
        if kept:
            yield tuple(kept.values())
