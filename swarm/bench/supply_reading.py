"""Asks minds whether they read: how often they pick the letter that fits a line of news, beside chance.

Lines are templated as in a run, in figures and in words, with lines that concern nobody's demand among them; then in
wordings that no run has and no mind of ours was schooled on. A mind whose interval holds the share of the letter that
is right most often is at chance, and is called so.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any

import numpy as np

from swarm.agents.decision import Rules
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.observation import Observation
from swarm.agents.policies.replenish import answer
from swarm.bench.form import Result
from swarm.bench.kept import Kept, digests
from swarm.config_file import load, resolve
from swarm.coordination.intervals import wilson
from swarm.llm import engines
from swarm.llm.entry import ModelEntry
from swarm.llm.protocol import SCORES, Message, ModelClient, ModelRequest
from swarm.llm.scores import read_scores
from swarm.planning import compose
from swarm.preflight import Narrator
from swarm.scenarios.protocol import MarketState
from swarm.scenarios.supply_chain.form import LETTERS, ReplenishForm, change_of
from swarm.scenarios.supply_chain.news import NOISE, announcement
from swarm.seeding import draw_below
from swarm.training.news_corpus import Line, drawn_line
from swarm.training.wordings import EXAMINED

QUESTIONS = 60
REGION = "coast"
TINY = {"name": "tiny", "engine": "embedded", "temperament": "reader"}
"""The tiny model that was schooled on news, in other wordings than either set of questions has."""
CHANGES = (600, 400, 600, 800, 1_300, 1_600, 1_300, 1_600)
"""Changes of demand that are told, in 1/1000 of what it was; one line in three tells of none."""
DEADLINE_S = 120.0
JUDGE_ASK = (
    "You run one node of a supply chain. You are shown NEWS, and one statement of it at a time. Say yes if the news "
    "says so of your own demand, and no if not."
)
_CHANGES = "The news says that my demand changes by {:+d} percent"
_STATEMENTS = {
    "A": "The news says nothing of my demand",
    "F": "The news says that goods run short in this round alone",
    "G": "The news says that nobody buys in this round alone",
}
"""What a model judges in place of each letter; where it stands for a change, how large that is."""

Ask = Callable[[ModelClient, ModelEntry, "Question"], tuple[str, float, int]]
"""Returns the letter that a model comes to, the CPU seconds that took, and the tokens."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a retailer is shown with a line of news, the prompt that says so, and the letter that fits best."""

    seen: Observation
    row: int
    text: str
    right: str


def questions() -> list[Question]:
    """Returns questions in the wordings of runs."""
    found = []
    for number in range(QUESTIONS):
        permille = CHANGES[number % len(CHANGES)]
        # One line in three tells of no change, so that a mind that always departs is not right.
        noise = number % 3 == 2
        text = announcement(11, number, REGION, permille, 2)
        if noise:
            text = NOISE[int(draw_below(11, "noise", len(NOISE), number).item())].format(region=REGION)
        found.append(_question(Line(text, REGION, 0.0 if noise else permille / 10 - 100)))
    return found


def other_questions() -> list[Question]:
    """Returns questions in the wordings that are kept for examinations: changes, none, a rush, a closed day."""
    random = np.random.default_rng(11)
    return [_question(drawn_line(random, REGION, EXAMINED, 2)) for _ in range(QUESTIONS)]


def _question(line: Line) -> Question:
    config = resolve(
        {
            "name": "reading",
            "rounds": 30,
            "population": 25,
            "scenario": {"name": "supply_chain", "news": [{"round": 1, "region": REGION, "text": line.text}]},
            "traders": {"define": {"own": {"mind": "own", "rule": "plan"}}, "minds": {"own": 1}},
        }
    )
    scenario: Any = compose(config).run.scenario
    network = scenario.setup.network
    empty = np.zeros((len(network), len(scenario.goods) + 1), dtype=np.int64)
    seen = scenario.observe(1, MarketState(empty, scenario.opening_reference_ticks), None)
    row = network.names.index("retailer-0")
    prompt = _form().render(seen, row, 1 << 30)
    if prompt is None:
        raise ValueError("a prompt without a limit is never too long")
    text = prompt.messages[-1].content
    return Question(seen, row, text, best_letter(text, line.percent, line.letter))


def best_letter(text: str, percent: float, letter: str) -> str:
    """Returns the letter of the menu in `text` that fits a change in percent of all demand, or the one that is told."""
    menu = {line[0]: change_of(line) for line in text.partition("\nMENU\n")[2].split("\n")}
    offered = {of: change for of, change in menu.items() if change is not None}
    return letter or min(offered, key=lambda of: (abs(offered[of] - percent), of))


def reading(config: Path | None, narrator: Narrator, kept: Kept) -> list[Result]:
    """Returns the share of right letters of chance, of a rule in code, of the tiny reader and of a config's models."""
    # Ours is asked without being named; the models of a config beside it.
    entries = [resolve({"models": [TINY]}).models[0], *(load(config).models if config else ())]
    results = []
    for ending, asked in (("", questions()), ("_other_wordings", other_questions())):
        rights = [question.right for question in asked]
        common, times = Counter(rights).most_common(1)[0]
        chance = times / len(rights)
        told = "the commonest letter, unread"
        results.append(Result(f"supply_reads_always_{common}{ending}", round(chance, 3), "share", "higher", bound=told))
        by_rule = [answer(question.text) for question in asked]
        results.append(_share(f"supply_reads_rule{ending}", by_rule, rights, chance, "a rule in code"))
        for entry in entries:
            narrator.phase(f"asking {entry.name} what it reads")
            # By letters, and where the engine scores also by what it takes for true, which no letter's sound moves.
            ways = {"": _asked} | ({"_judged": _judged} if SCORES in engines.of(entry).abilities else {})
            for way, ask in ways.items():
                said, cost = _answers(entry, asked, ending + way, kept, ask)
                name, what = f"supply_reads_{entry.name}{way}{ending}", f"engine {entry.engine}"
                results += [_share(name, said, rights, chance, what), replace(cost, name=f"{name}_cpu_s")]
    if config is None:
        note = "no model was named: --config CONFIG asks those of a config"
        results.append(Result("supply_reads_real_small_model", None, "share", "higher", note=note))
    return results


def _answers(
    entry: ModelEntry, asked: Sequence[Question], called: str, kept: Kept, ask: Ask
) -> tuple[list[str], Result]:
    """Returns the letters that a model answers with, `?` where an answer cannot be read, and what a question cost."""
    # Another model of the same name is asked anew; a model is opened only where an answer is not kept.
    as_json = entry.model_dump(mode="json")
    model, files = cache(lambda: engines.in_process(entry)), digests(as_json)
    answers = []
    for number, question in enumerate(asked):
        key = {"reads": as_json, "files": files, "questions": called, "number": number}
        if (found := kept.get(key)) is None:
            kept.put(key, found := ask(model(), entry, question))
        answers.append(found)
    said, seconds, tokens = zip(*answers, strict=True)
    told = f"CPU of this process for a question of {mean(tokens):.0f} tokens, the median of {len(asked)}"
    return list(said), Result("", round(median(seconds), 3), "s", "lower", bound=told)


def _asked(client: ModelClient, entry: ModelEntry, question: Question) -> tuple[str, float, int]:
    """Returns the letter that a model answers with, the CPU seconds that it took, and the tokens of the question."""
    # One question at a time, since engines differ in what they take at once.
    form = _form()
    prompt = form.render(question.seen, question.row, 1 << 30)
    if prompt is None:
        raise ValueError("a prompt without a limit is never too long")
    schema, most = form.schema(question.seen, question.row), min(entry.max_completion_tokens, 16)
    began = process_time()
    (reply,) = asyncio.run(client.complete([ModelRequest(prompt.messages, schema, most, 7)], DEADLINE_S))
    meant = form.read(reply.text, False, question.seen, question.row).outcome
    letters = (one for one in LETTERS if form.read(one, False, question.seen, question.row).outcome == meant)
    return next(letters, "?"), round(process_time() - began, 4), reply.usage.prompt


def _judged(client: ModelClient, entry: ModelEntry, question: Question) -> tuple[str, float, int]:
    """Returns the letter whose line a model most likely takes for true, the CPU seconds and the tokens of all lines."""
    facts, _, menu = question.text.partition("\nMENU\n")
    told = {line[0]: change_of(line) for line in menu.split("\n")}
    lines = tuple(f"\n{_STATEMENTS.get(letter, _CHANGES)}?".format(told[letter] or 0) for letter in LETTERS)
    messages = (Message("system", JUDGE_ASK), Message("user", facts))
    began = process_time()
    (reply,) = asyncio.run(client.complete([ModelRequest(messages, {}, 1, 7, 0.0, branches=lines)], DEADLINE_S))
    scores = read_scores(reply.text, len(lines))
    return LETTERS[scores.taken] if scores else "?", round(process_time() - began, 4), reply.usage.prompt


def _form() -> ReplenishForm:
    rules = Rules(("units",), 1, 1, 1, 0, False)
    return ReplenishForm(FormTerms("You run one node of a supply chain.", 0, rules, 100))


def _share(name: str, said: list[str], rights: list[str], chance: float, what: str) -> Result:
    """Returns the share of right letters with its interval, and whether chance lies in it."""
    right = sum(one == other for one, other in zip(said, rights, strict=True))
    low, high = wilson(right, len(rights))
    verdict = "at chance" if low <= chance else "reads"
    unread = sum(one not in LETTERS for one in said)
    told = (
        f"{verdict} ({low:.2f} to {high:.2f}, chance {chance:.2f}), {right} of {len(rights)}, {unread} unreadable; "
        f"{what}"
    )
    return Result(name, round(right / len(rights), 3), "share", "higher", bound=told)
