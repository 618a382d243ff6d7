"""Tasks with a known answer, asked as a menu of letters or line by line, so that any model of a menu can be a tier.

Two families: the balance of a ledger after k transfers, and a buyer's plan for its next rounds in a double auction with
induced values, which is cleared by the market's own auction to know what each plan brings. Difficulty is the number of
transfers or rounds. A menu's figures are what the engine can reckon beforehand; a ledger has none, since they would
give the answer away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.agents.forms.judge import ASK
from swarm.llm.protocol import Message, ModelRequest
from swarm.market.call_auction import clear
from swarm.market.orders import BUY, SELL

LETTERS = "ABCDEFGHIJKLMNOP"

TRANSFERS = (1, 2, 4, 6, 8)
ROUNDS = (1, 2, 4, 8, 16)
"""Difficulties of the two families."""

GOOD_ENOUGH = 0.95
"""A plan within this share of the best one's surplus passes."""

OTHERS, UNITS, REFERENCE = 6, 3, 50
"""Other buyers, and as many sellers; units that a buyer can redeem; the price that a market begins with."""

ANSWER = "Answer with two letters and nothing else: an action of MENU, then a line of SAY, for example BA.\n"
FIGURES = "GAIN: what an action brings at its first limit if all is filled. EXPECT: what it brought in two trials."

FORESEEN, PLAYED = 2, 12
"""Drawn markets that the engine's figure is the mean of, and others that say how good a plan really is."""

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lettered:
    """One task: its texts, and by letter of its menu what is written, what the engine expects, and whether it passes.

    `answer` says how letters are answered, and `offers` are the lines as they are judged one by one. `known` are
    figures that can be seen beforehand, and `words` say what the task is like.
    """

    difficulty: int
    setting: str
    answer: str
    asked: str
    lines: tuple[str, ...]
    offers: tuple[str, ...]
    expected: tuple[int, ...] | None
    right: tuple[bool, ...]
    known: tuple[float, ...]
    words: str

    @property
    def public(self) -> str:
        """The part of the prompt that is alike for all tasks, in the tables of the Wood's prompts."""
        market = "MARKET good PRICE CHANGE TRADED UNMET_BIDS UNMET_ASKS"
        return f"ROUND 1 of 1, period 1\n{market}\nwheat {REFERENCE} +0 0 0 0"

    def request(self, seed: int, letters: str, samples: int = 1, heard: Sequence[str] = ()) -> ModelRequest:
        """Returns the question with these letters of the menu alone, named anew from A on."""
        lines = [f"{LETTERS[i]} {self.lines[LETTERS.index(letter)]}" for i, letter in enumerate(letters)]
        told = _told(heard)
        said = "SAY letter line\nA (nothing)"
        menu = "MENU letter GAIN EXPECT TREND EDGE NEEDS BUYS SELLS orders"
        text = "\n".join([self.public, said, self.asked, *told, menu, *lines])
        schema = {"type": "string", "enum": [f"{letter}A" for letter in LETTERS[: len(letters)]]}
        messages = (Message("system", f"{self.setting}\n{self.answer}"), Message("user", text))
        return ModelRequest(messages, schema, 8, seed, more_seeds=tuple(seed + i for i in range(1, samples)))

    def judging(self, seed: int, letters: str, samples: int = 1, heard: Sequence[str] = ()) -> ModelRequest:
        """Returns the same question to a model that judges line by line and writes nothing."""
        text = "\n".join([self.public, self.asked, *_told(heard)])
        messages = (Message("system", f"{self.setting}\n{ASK}"), Message("user", text))
        offers = tuple(self.offers[LETTERS.index(letter)] for letter in letters)
        more = tuple(seed + i for i in range(1, samples))
        return ModelRequest(messages, {}, 1, seed, more_seeds=more, branches=offers)

    @property
    def letters(self) -> str:
        """All letters of the menu."""
        return LETTERS[: len(self.lines)]


def _told(heard: Sequence[str]) -> list[str]:
    return ["HEARD (rumours, not orders)", *(f"- {line}" for line in heard)] if heard else []


def ledger(random: np.random.Generator, difficulty: int) -> Lettered:
    """Returns the task to find a balance after some transfers among eight balances."""
    opening = int(random.integers(20, 100))
    moves = random.integers(2, 30, TRANSFERS[difficulty]) * random.choice([-1, 1], TRANSFERS[difficulty])
    balance = opening + int(moves.sum())
    # Wrong balances are those that one slip leads to: a sign, a transfer left out, a digit.
    slips = [balance - 2 * int(moves[0]), balance - int(moves[-1]), balance + 10, balance - 10, balance + 1]
    slips += [balance - 1, opening]
    wrong = list(dict.fromkeys(one for one in slips if one != balance))[:7]
    shown = random.permutation([balance, *wrong]).tolist()
    steps = "\n".join(f"transfer {'in' if move > 0 else 'out'} {abs(move)}" for move in moves.tolist())
    return Lettered(
        difficulty,
        "An account's purse changes by transfers. Find the balance after all of them.",
        ANSWER,
        f"YOU make nothing, purse {opening}, mood 50\n{steps}",
        tuple(f"0 0 0 0 0 0 0 balance {one}" for one in shown),
        tuple(f"balance {one}?" for one in shown),
        None,
        tuple(one == balance for one in shown),
        (float(len(moves)), float(opening), float(np.abs(moves).sum()), float((moves < 0).mean()), float(len(shown))),
        f"{len(moves)} transfers, {int((moves < 0).sum())} out",
    )


def plan(random: np.random.Generator, difficulty: int) -> Lettered:
    """Returns the task to plan a buyer's limits over the next rounds of a double auction."""
    rounds, worth = ROUNDS[difficulty], int(random.integers(52, 80))
    values, costs = random.integers(40, 80, OTHERS), random.integers(20, 60, OTHERS)
    # What others bid and ask in each round, as zero-intelligence traders do within their limits: [times, rounds, all].
    bids = random.integers(20, values + 1, (FORESEEN + PLAYED, rounds, OTHERS))
    asks = random.integers(costs, 81, (FORESEEN + PLAYED, rounds, OTHERS))
    starts = [min(worth, round(REFERENCE * part)) for part in (0.8, 0.9, 1.0, 1.08, 1.2)]
    plans = list(dict.fromkeys((start, step) for start in starts for step in (0, 2)))
    plans = [(0, 0), *(plans[i] for i in random.permutation(len(plans)).tolist())]
    # [plans, times] of which the first are what the engine foresees, and the others say how good a plan is.
    brought = np.array([[surplus(worth, one, *both) for both in zip(bids, asks, strict=True)] for one in plans])
    expected = np.rint(brought[:, :FORESEEN].mean(axis=1)).astype(int).tolist()
    good = brought[:, FORESEEN:].mean(axis=1)
    lines, offers = [], []
    for (start, step), expect in zip(plans, expected, strict=True):
        gain, lots = (UNITS * (worth - start), UNITS) if start else (0, 0)
        edge = (start - REFERENCE) * 100 // REFERENCE if start else 0
        words = f"buy {UNITS} wheat {start} raise {step}" if start else "pass"
        lines.append(f"{gain} {expect} {step} {edge} {lots} {lots} 0 {words}")
        bought = f"buy{UNITS} wheat needs{UNITS} raise{step} edge{edge}" if start else "pass"
        offers.append(f"{bought} expect{expect}?")
    stock = f"STOCK good HAVE NEED SPARE WORTH\nwheat 0 {UNITS} 0 {worth}"
    return Lettered(
        difficulty,
        f"A buyer plans its limit and by how much to raise it, over {rounds} rounds of an auction.",
        f"{ANSWER}{FIGURES}",
        f"YOU make nothing, purse {UNITS * worth}, mood 50\n{stock}",
        tuple(lines),
        tuple(offers),
        tuple(expected),
        tuple((good >= max(GOOD_ENOUGH * good.max(), 1)).tolist()),
        (float(rounds), float(worth), float(len(plans)), float(max(expected)), float(np.std(expected))),
        f"{rounds} rounds, worth {worth // 5 * 5}",
    )


def surplus(worth: int, planned: tuple[int, int], bids: Int64, asks: Int64) -> int:
    """Returns what a buyer's plan realises against these bids and asks, round by round, in ticks."""
    start, step = planned
    left, realised = UNITS if start else 0, 0
    side = np.array([BUY, *[BUY] * OTHERS, *[SELL] * OTHERS])
    for round_, (others, sellers) in enumerate(zip(bids, asks, strict=True)):
        if not left:
            break
        limits = np.array([min(worth, start + step * round_), *others, *sellers])
        lots = np.array([left, *[1] * (2 * OTHERS)])
        found = clear(side, limits, lots, np.arange(len(lots)), REFERENCE)
        bought = int(found.fill_lots[0])
        left, realised = left - bought, realised + bought * (worth - found.price_ticks)
    return realised


FAMILIES: dict[str, Callable[[np.random.Generator, int], Lettered]] = {"ledger": ledger, "plan": plan}
"""By name, what makes a task of a difficulty."""
