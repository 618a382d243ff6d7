"""Examples for a model that judges: menus of simulated markets as it is shown them, and how the value rule likes them.

A menu is a prompt and one line for each action, and the figures that the rule compares. Menus of traders of the same
round are kept together, since most of their text is the same. This module knows no network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from swarm.agents.forms.judge import JudgeForm
from swarm.agents.forms.menus import Action
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.policies.menu import WORST_GAIN
from swarm.config_file import resolve
from swarm.llm.protocol import Message
from swarm.runtime.play import Shown, play
from swarm.seeding import draw
from swarm.training.corpus import market_config

ROUNDS_OF_A_MARKET = 4
MENUS_OF_A_ROUND = 4
FEWEST_ACTIONS = 3
PROMPT_TOKENS = 1_000
"""Budget that prompts are made for, by the project's estimate, together with all actions."""


@dataclass(frozen=True, slots=True)
class Offers:
    """One trader's menu: the prompt, a line for each action, what each is expected to bring in ticks, and the best.

    What the rule cannot bear counts as the worst of all.
    """

    messages: tuple[Message, ...]
    lines: tuple[str, ...]
    expected: tuple[int, ...]
    best: int


OfRound = tuple[Offers, ...]

UNBEARABLE = -99
"""What an action is worth, in ticks, that loses more than the rule can bear."""


def offers_of(first_market: int, menus: int) -> tuple[list[OfRound], int]:
    """Returns so many menus of markets from this number on, by round, and the number of the next market."""
    found: list[OfRound] = []
    number = first_market
    while sum(map(len, found)) < menus:
        # The double auction has one good, whose menus are too short to be worth a prompt.
        if market_config(number)["scenario"]["name"] == "wood":
            found += _rounds(number)
        number += 1
    while (beyond := sum(map(len, found)) - menus) > 0:
        last = found.pop()
        found += [last[:-beyond]] if len(last) > beyond else []
    return found, number


def value_of(action: Action) -> int:
    """Returns what the value rule compares."""
    return action.expected if action.gain >= WORST_GAIN else UNBEARABLE


def best_of(actions: Sequence[Action]) -> int:
    """Returns the index of the action that the value rule takes."""
    values = [value_of(action) for action in actions]
    return values.index(max(values))


def _rounds(number: int) -> Iterator[OfRound]:
    """Yields menus of some rounds of one market, both drawn."""
    shown = Shown()
    shard = play(resolve(market_config(number)), traders=shown.asking).plan.run.shard
    form = JudgeForm(FormTerms(shard.scenario_rules, shard.seed, shard.rules, shard.tick_cents))
    # The first round is the same for nearly everybody.
    rounds = np.argsort(draw(number, "offers", np.arange(1, len(shown.seen))))[:ROUNDS_OF_A_MARKET] + 1
    for seen in (shown.seen[i] for i in sorted(rounds.tolist())):
        rows = np.argsort(draw(number, "offered", seen.public.round, seen.private.trader)).tolist()
        kept: dict[tuple[str, ...], Offers] = {}
        for row in rows:
            actions = form.menu(seen, row).actions
            prompt = form.render(seen, row, PROMPT_TOKENS)
            lines = form.branches(seen, row)
            # Traders in the same state are asked the same, which would otherwise weigh as often as it is asked.
            if prompt and lines not in kept and len(actions) >= FEWEST_ACTIONS:
                expected = tuple(value_of(action) for action in actions)
                kept[lines] = Offers(prompt.messages, lines, expected, best_of(actions))
            if len(kept) == MENUS_OF_A_ROUND:
                break
        if kept:
            yield tuple(kept.values())
