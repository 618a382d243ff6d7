"""Asks minds whether they read: how often they pick the letter that fits a line of news, beside chance.

Lines are templated as in a run, in figures and in words, with lines that concern nobody's demand among them. A mind
whose interval holds the share of the letter that is right most often is at chance, and is called so.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from swarm.agents.decision import Rules
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.observation import Observation
from swarm.agents.policies.replenish import answer
from swarm.bench.form import Result
from swarm.config_file import load, resolve
from swarm.coordination.intervals import wilson
from swarm.llm import engines
from swarm.llm.protocol import ModelRequest
from swarm.planning import compose
from swarm.preflight import Narrator
from swarm.scenarios.protocol import MarketState
from swarm.scenarios.supply_chain.form import LETTERS, ReplenishForm
from swarm.scenarios.supply_chain.news import NOISE, announcement
from swarm.seeding import draw_below

QUESTIONS = 60
CHANGES = (600, 400, 600, 800, 1_300, 1_600, 1_300, 1_600)
"""Changes of demand that are told, in 1/1000 of what it was; one line in three tells of none."""
DEADLINE_S = 120.0


def questions() -> list[tuple[Observation, int, str]]:
    """Returns what a retailer is shown for each line of news, its row, and the letter that fits best."""
    found = []
    for number in range(QUESTIONS):
        permille = CHANGES[number % len(CHANGES)]
        # One line in three tells of no change, so that a mind that always departs is not right.
        noise = number % 3 == 2
        text = announcement(11, number, "coast", permille, 2)
        if noise:
            text = NOISE[int(draw_below(11, "noise", len(NOISE), number).item())].format(region="coast")
        config = resolve(
            {
                "name": "reading",
                "rounds": 30,
                "population": 25,
                "scenario": {"name": "supply_chain", "news": [{"round": 1, "region": "coast", "text": text}]},
                "traders": {"define": {"own": {"mind": "own", "rule": "plan"}}, "minds": {"own": 1}},
            }
        )
        scenario: Any = compose(config).run.scenario
        kept = scenario.setup.network
        empty = np.zeros((len(kept), len(scenario.goods) + 1), dtype=np.int64)
        nothing = MarketState(empty, scenario.opening_reference_ticks)
        seen = scenario.observe(1, nothing, None)
        row = next(i for i, name in enumerate(kept.names) if name == "retailer-0")
        # Retailers order for two rounds at five a round: one deviation is 32 percent of what they expect.
        wanted = 0.0 if noise else permille / 10 - 100
        steps = {"A": 0.0, "B": 31.6, "C": 63.2, "D": -31.6, "E": -63.2}
        found.append((seen, row, min(steps, key=lambda letter: abs(steps[letter] - wanted))))
    return found


def reading(config: Path | None, narrator: Narrator) -> list[Result]:
    """Returns the share of right letters of a rule in code, of chance, and of each model of a config."""
    # The same questions to all, so that shares compare.
    asked = questions()
    rights = [letter for *_, letter in asked]
    common, times = Counter(rights).most_common(1)[0]
    chance = times / len(rights)
    form = _form()
    texts = [(form.render(seen, row, 1 << 30), seen, row) for seen, row, _ in asked]
    letters = {form.read(letter, False, *asked[0][:2]).outcome: letter for letter in LETTERS}
    by_rule = [answer(prompt.messages[-1].content) for prompt, *_ in texts if prompt is not None]
    # What needs no reading first, then the rule, then models.
    results = [
        Result(
            "supply_reads_always_" + common, round(chance, 3), "share", "higher", bound="the commonest letter, unread"
        ),
        _share("supply_reads_rule", by_rule, rights, chance, "a rule in code, no language model"),
    ]
    if config is None:
        note = "no model was named: --config CONFIG asks those of a config"
        return [*results, Result("supply_reads_language_model", None, "share", "higher", note=note)]
    for entry in load(config).models:
        narrator.phase(f"asking {entry.name} what it reads")
        client = engines.in_process(entry)
        requests = [
            ModelRequest(prompt.messages, form.schema(seen, row), min(entry.max_completion_tokens, 16), 7)
            for prompt, seen, row in texts
            if prompt is not None
        ]
        said = []
        for request, (_, seen, row) in zip(requests, texts, strict=True):
            (reply,) = asyncio.run(client.complete([request], DEADLINE_S))
            said.append(letters.get(form.read(reply.text, False, seen, row).outcome, "?"))
        results.append(_share(f"supply_reads_{entry.name}", said, rights, chance, f"engine {entry.engine}"))
    return results


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
