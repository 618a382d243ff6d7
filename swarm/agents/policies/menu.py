"""The five temperaments as rules that read a menu in a prompt's text and answer with two letters.

They are what the scripted engine answers a menu with, and what the embedded models were taught by. They see the text
and nothing else, have no chance in them, and compare whole numbers that the prompt prints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from swarm.agents.prompt_reader import Choice, read_prompt
from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament

_ALARM = ("blight", "crash", "fail", "panic", "run on", "stormed")

WORST_GAIN = -60
"""No temperament takes an action that would lose more than this, in ticks."""


@dataclass(slots=True)
class MenuView:
    """The figures that a policy has read in a prompt that ends in a menu."""

    choices: list[Choice] = field(default_factory=list)
    sayings: dict[str, str] = field(default_factory=dict)
    changes: list[int] = field(default_factory=list)
    purse: int = 0
    mood: int = 50
    news_alarm: bool = False
    heard_falls: int = 0

    @property
    def alarmed(self) -> bool:
        """Tells whether there is reason to panic: bad news, most prices falling, ill rumours or a low mood."""
        # Any one of the four is enough; "most" is more than half of the market's goods.
        falling = sum(change < 0 for change in self.changes)
        return self.news_alarm or 2 * falling > len(self.changes) or self.heard_falls > 1 or self.mood < 30


def read_menu(text: str) -> MenuView:
    """Returns what a policy makes of a prompt's text."""
    read = read_prompt(text)
    return MenuView(
        choices=read.choices,
        # A line is known by its last word, which says what it foretells.
        sayings={line.rpartition(" ")[2]: letter for letter, line in read.sayings.items()},
        changes=[good.change for good in read.goods.values()],
        purse=read.purse or 0,
        mood=50 if read.mood is None else read.mood,
        news_alarm=any(word in line.lower() for line in read.news for word in _ALARM),
        heard_falls=sum(" fall" in line for line in read.heard),
    )


def _value(view: MenuView, choice: Choice) -> int:
    return choice.expect


def _momentum(view: MenuView, choice: Choice) -> int:
    """Half of what it hopes for lies in the last move of the prices."""
    return choice.expect + 2 * choice.trend


def _maker(view: MenuView, choice: Choice) -> int:
    """Quotes both sides, near the price, and would rather wait than pay."""
    two_sided = choice.buys > 0 and choice.sells > 0
    # All terms are ticks, weighted by whole numbers; a quote on both sides is worth 40 of them to it.
    return choice.gain + 4 * choice.expect + 40 * two_sided - 2 * max(choice.edge, 0)


def _hoarder(view: MenuView, choice: Choice) -> int:
    """Buys more than it needs, and parts with what it has only to fill its purse."""
    return choice.expect + 8 * choice.buys - (3 * choice.sells if view.purse >= 150 else 0)


def _panic(view: MenuView, choice: Choice) -> int:
    """Alarmed, it wants to be rid of things and sure of its needs at any price; calm, it trades at the price."""
    if view.alarmed:
        return 2 * choice.edge + 6 * choice.needs + 6 * choice.sells + choice.expect // 2
    return choice.expect + 4 * choice.needs - abs(choice.edge)


_SCORES: dict[Temperament, Callable[[MenuView, Choice], int]] = {
    "value": _value,
    "momentum": _momentum,
    "maker": _maker,
    "hoarder": _hoarder,
    "panic": _panic,
}

_TALK: dict[Temperament, tuple[str, ...]] = {
    "value": ("plenty", "short"),
    "momentum": ("rise", "fall"),
    "maker": (),
    "hoarder": ("short", "rise"),
    "panic": ("fall", "short"),
}
"""What a temperament talks of, by the last word of the line, first what it would rather say."""


def choose(temperament: Temperament, view: MenuView) -> str:
    """Returns two letters, an action's and a saying's; of actions that score alike, the one that stands first."""
    # The first letter is the best of what it can bear, the second the first topic that the menu offers.
    scored = [(score, c.letter) for score, c in zip(scores(temperament, view), view.choices, strict=True)]
    bearable = [(score, letter) for score, letter in scored if score is not None]
    best = max(bearable, key=itemgetter(0), default=(0, "A"))
    talk = _TALK[temperament] if temperament != "panic" or view.alarmed else ()
    said = next((view.sayings[word] for word in talk if word in view.sayings), "A")
    return best[1] + said


def scores(temperament: Temperament, view: MenuView) -> list[int | None]:
    """Returns how each action of the menu scores, in ticks or what counts like them; None where it can't be borne."""
    score = _SCORES[temperament]
    return [score(view, c) if c.gain >= WORST_GAIN else None for c in view.choices]


def answer_menu(temperament: Temperament, text: str) -> str:
    """Returns the reply of a scripted policy to a prompt that ends in a menu."""
    return choose(temperament, read_menu(text))


def _reply(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    return answer_menu(temperament, messages[-1].content)


def _lie(messages: Sequence[Message]) -> str:
    """Returns the action that is expected to bring least, and says nothing."""
    choices = read_menu(messages[-1].content).choices
    worst = min(choices, key=lambda choice: choice.expect, default=None)
    return (worst.letter if worst else "A") + "A"


POLICY = Policy("menu", lambda schema: "enum" in schema and "title" not in schema, _reply, {}, _lie)
