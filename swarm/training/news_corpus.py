"""Makes prompts of supply chains with templated news, and the letter that fits each; it needs no torch.

The letter is known from how the news was made, not from any rule that reads: the change that the lines tell of, times
the share of the node's demand that they concern, beside what each line of the menu has the plan expect.
"""

from dataclasses import dataclass

import numpy as np

from swarm.llm.engines.embedded import news_tokens, tokenizer
from swarm.scenarios.supply_chain.form import LETTERS, Facts, change_of, menu_lines, own_figures
from swarm.scenarios.supply_chain.news import IN_WORDS
from swarm.training.corpus import Corpus
from swarm.training.wordings import ENDINGS, OPENINGS, TAUGHT, Wordings

UNKNOWN_PERCENT = 12
"""Of a hundred words that say nothing of the change, so many become others, so that the reader bears new ones."""

_SYLLABLES = ("ba", "den", "fal", "gor", "hil", "kes", "lun", "mar", "nor", "ost", "pel", "riv", "sun", "tor", "wyn")
_TELLING = """
more less fewer up down plus minus rise rises fall fallen grow grows grew growth climb climbs jump jumps expands
increase decrease shrinks drops drop slump cuts lose loses loss gains gain contracts higher lower extra alone only
single hurry quick once shut close shops stores buyers sales demand customers tenth fifth fifths quarter quarters
tenths half percent a three two four
"""
_KEPT = frozenset(_TELLING.split())


@dataclass(frozen=True, slots=True)
class Line:
    """A line of news: its text, whom it concerns, and what follows: a change in percent, or a letter of its own."""

    text: str
    region: str
    percent: float = 0.0
    letter: str = ""


def taught_line(random: np.random.Generator, region: str) -> Line:
    """Returns a line in a wording of the schooling, drawn with its size, its opening and its ending."""
    # Lines of one round have no opening: what they say is said by the whole of them.
    line = drawn_line(random, region, TAUGHT, round_=int(random.integers(2, 200)))
    if line.letter:
        return line
    ending = str(random.choice(ENDINGS)).format(round=int(random.integers(2, 200)))
    text = str(random.choice(OPENINGS)) + line.text + ending
    words = [_other(random) if _may_change(word, region, random) else word for word in text.split()]
    return Line(" ".join(words), region, line.percent)


def drawn_line(random: np.random.Generator, region: str, wordings: Wordings, round_: int) -> Line:
    """Returns a line in one of these wordings: of three, one tells of more, one of less and one of something else."""
    kind = random.choice(["more", "less", "nothing", "rush", "closed"], p=[0.33, 0.33, 0.2, 0.07, 0.07])
    text = str(random.choice(getattr(wordings, kind)))
    # Sizes come in words where there are some, or in figures, with a decimal now and then.
    permille = int(random.choice(list(IN_WORDS))) if random.random() < 0.4 else 10 * int(random.integers(4, 96))
    if kind == "more" and random.random() < 0.2:
        permille += 500
    in_words = permille in IN_WORDS and random.random() < 0.6
    figures = permille + (5 if random.random() < 0.1 else 0)
    size = IN_WORDS[permille] if in_words else f"{figures / 10:g} percent"
    told = text.format(region=region, size=size, round=round_)
    percent = {"more": permille / 10, "less": -permille / 10}.get(kind, 0.0)
    return Line(told, region, percent, {"rush": "F", "closed": "G"}.get(kind, ""))


def _may_change(word: str, region: str, random: np.random.Generator) -> bool:
    bare = word.strip(".,:;").lower()
    plain = bare != region and bare not in _KEPT and not any(c.isdigit() for c in bare)
    return plain and bool(random.integers(100) < UNKNOWN_PERCENT)


def _other(random: np.random.Generator) -> str:
    return "".join(random.choice(_SYLLABLES, size=int(random.integers(2, 4))))


def drawn_facts(random: np.random.Generator, region: str, share: int) -> Facts:
    """Returns a node as any network may have it; its name says nothing."""
    # From a village's shop to a supplier of hundreds, as many of each size.
    expects = float(np.round(np.exp(random.uniform(np.log(0.8), np.log(300))), 1))
    lead = int(random.integers(1, 9))
    # Retailers of trees are as common as all others together, since most nodes are retailers.
    if random.random() < 0.4:
        expects, lead = float(np.round(random.uniform(3, 9), 1)), 2
    flow = round(expects)
    stock, owes = int(random.integers(0, 3 * flow + 3)), int(random.integers(0, 3)) * int(random.integers(0, flow + 1))
    asked, due = int(random.poisson(expects)), int(random.poisson(expects) * random.integers(0, 3))
    under_way = due + int(random.integers(0, lead * flow + 1))
    holding = 100 * int(random.integers(1, 9))
    on_order = int(random.integers(0, 2)) * flow
    return Facts(f"node-{lead}", region, stock, under_way, on_order, owes, asked, expects, lead, due, holding, share)


def prompt_of(lines: list[Line], facts: Facts, round_: int) -> str:
    """Returns the text of a node's prompt, as the form renders it."""
    news = [f"NEWS {line.text}" for line in lines] or ["NEWS none"]
    own = facts.lines(300)
    return "\n".join([f"ROUND {round_} of 200", *news, own, "MENU", *menu_lines(own_figures(own))])


def fitting(lines: list[Line], facts: Facts) -> str:
    """Returns the letter that fits what the lines tell: of its region where all its demand is there, else of all."""
    # Who has customers in one region alone is concerned by the lines of its own region and by no other.
    share = facts.concerned_percent / 100
    mine = [line for line in lines if line.region == facts.region]
    told = mine if share == 1.0 and mine else lines
    # A rush or a closed day matters to whom it concerns in the main.
    letters = [line.letter for line in told if line.letter]
    if letters and share >= 0.5:
        return letters[0]
    changes = [line.percent for line in told if line.percent]
    wanted = (1.0 if told is mine else share) * sum(changes) / max(len(changes), 1)
    menu = {line[0]: change_of(line) for line in menu_lines(own_figures(facts.lines(300)))}
    offered = {letter: change for letter, change in menu.items() if change is not None}
    return min(offered, key=lambda letter: (abs(offered[letter] - wanted), letter)) if wanted else "A"


def make(seed: int, rounds: int, prompts: int) -> Corpus:
    """Returns so many prompts of each of so many rounds, in wordings of the schooling alone."""
    random = np.random.default_rng(seed)
    public = np.zeros((rounds, news_tokens.MOST_NEWS_ROWS, tokenizer.WIDTH), dtype=np.int16)
    n = rounds * prompts
    private = np.zeros((n, news_tokens.PRIVATE_ROWS, tokenizer.WIDTH), dtype=np.int16)
    actions = np.zeros((n, 1), dtype=np.int16)
    for i in range(rounds):
        # All prompts of a round lie in one region, since the news is read from there.
        here, there = _region(random), _region(random)
        # Two lines at once are as common as one, most of them of two regions, so that one's own has to be told apart.
        count = int(random.choice([0, 1, 2], p=[0.05, 0.45, 0.5]))
        lines = [taught_line(random, here if random.random() < 0.55 else there) for _ in range(count)]
        for k in range(prompts):
            facts = drawn_facts(random, here, _share(random, lines, here))
            text = prompt_of(lines, facts, int(random.integers(1, 200)))
            news, own = news_tokens.encode(text)
            public[i] = tokenizer.grid(news.rows, len(public[i]))
            private[i * prompts + k] = tokenizer.grid(own.rows, news_tokens.PRIVATE_ROWS)
            actions[i * prompts + k] = LETTERS.index(fitting(lines, facts))
    nothing = np.zeros((n, 0, 0), dtype=np.int32)
    round_of = np.repeat(np.arange(rounds), prompts).astype(np.int32)
    seven = np.full(n, len(LETTERS), dtype=np.int16)
    return Corpus(public, round_of, private, actions, np.zeros_like(actions), nothing, seven, np.ones_like(seven))


def _region(random: np.random.Generator) -> str:
    return str(random.choice(["north", "south", "bay", "valley", "isles"])) if random.random() < 0.3 else _other(random)


def _share(random: np.random.Generator, lines: list[Line], here: str) -> int:
    """Returns the percent of a node's demand that lines concern: all or nothing of a retailer's, else any part."""
    # Retailers are the most, and their customers live where they do.
    if not lines:
        return 0
    if random.random() < 0.55:
        return 100 if any(line.region == here for line in lines) else 0
    return int(random.integers(0, 101))
