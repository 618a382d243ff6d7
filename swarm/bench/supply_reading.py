"""Asks minds whether they read: how often they pick the letter that fits a line of news, beside chance.

Lines are templated as in a run, in figures and in words, with lines that concern nobody's demand among them; then in
wordings that no run has and no mind of ours was schooled on. A mind whose interval holds the share of the letter that
is right most often is at chance, and is called so.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swarm.agents.decision import Rules
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.observation import Observation
from swarm.agents.policies.replenish import answer
from swarm.bench.form import Result
from swarm.bench.kept import Kept
from swarm.config_file import load, resolve
from swarm.coordination.intervals import wilson
from swarm.llm import engines
from swarm.llm.entry import ModelEntry
from swarm.llm.protocol import ModelRequest
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
            what = f"engine {entry.engine}"
            # Another model of the same name is asked anew.
            key = {"reads": entry.model_dump(mode="json"), "questions": ending}
            if (said := kept.get(key)) is None:
                kept.put(key, said := _said(entry, asked))
            results.append(_share(f"supply_reads_{entry.name}{ending}", said, rights, chance, what))
    if config is None:
        note = "no model was named: --config CONFIG asks those of a config"
        results.append(Result("supply_reads_real_small_model", None, "share", "higher", note=note))
    return results


def _said(entry: ModelEntry, asked: list[Question]) -> list[str]:
    """Returns the letters that a model answers with, `?` where an answer cannot be read."""
    # One after another, since engines differ in what they take at once.
    client, form = engines.in_process(entry), _form()
    letters = {form.read(letter, False, asked[0].seen, asked[0].row).outcome: letter for letter in LETTERS}
    said = []
    for question in asked:
        prompt = form.render(question.seen, question.row, 1 << 30)
        if prompt is not None:
            schema, most = form.schema(question.seen, question.row), min(entry.max_completion_tokens, 16)
            request = ModelRequest(prompt.messages, schema, most, 7)
            (reply,) = asyncio.run(client.complete([request], DEADLINE_S))
            said.append(letters.get(form.read(reply.text, False, question.seen, question.row).outcome, "?"))
    return said


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
