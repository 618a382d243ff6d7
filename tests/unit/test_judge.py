"""The form `judge` and the text of its answers: scores of all actions, one of which is taken."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.forms.judge import ASK, heard_text, offer_text
from swarm.agents.forms.menus import Action, Leg
from swarm.config_file import resolve
from swarm.llm.engines.llama.config import ADAPTERS
from swarm.llm.engines.llama.gguf import read_header
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.llm.scores import MOST, Scores, read_scores, scored
from swarm.runtime.play import Played, play

CONFIG: dict[str, Any] = {
    "population": 8,
    "rounds": 3,
    "seed": 5,
    "models": [{"name": "judge", "engine": "llama", "path": "nowhere.gguf", "form": "judge"}],
    "traders": {"minds": {"judge": 1}},
}


class Likes:
    """Says yes to what is expected to bring much, as the line of an action tells, and keeps what it was asked."""

    def __init__(self, sign: int = 1) -> None:
        self.sign = sign
        self.asked: list[ModelRequest] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.asked += requests
        usage = TokenUsage(500, 0)
        return [
            ModelReply(scored([self.odds(b) for b in r.branches], 0, seed).to_text(False), usage, "stop", 0.0)
            for r in requests
            for seed in (r.seed, *r.more_seeds)
        ]

    def odds(self, branch: str) -> float:
        found = re.search(r"expect(-?\d+)\?", branch)
        return self.sign * float(found[1]) if found else 0.0


def _played(client: Likes) -> Played:
    return play(resolve(CONFIG), clients={"judge": client})


def test_what_is_liked_best_is_what_is_done() -> None:
    likes, dislikes = _played(Likes()), _played(Likes(-1))
    assert not likes.summary["decision_errors"]
    assert not dislikes.summary["decision_errors"]
    assert likes.summary["trades"] > 0
    assert likes.journal_sha256 != dislikes.journal_sha256
    assert likes.journal_sha256 == _played(Likes()).journal_sha256


def test_lines_begin_with_what_they_trade_and_leave_out_what_is_nothing() -> None:
    client = Likes()
    _played(client)
    lines = {line for request in client.asked for line in request.branches}
    assert all(request.branches[0] == "pass?" for request in client.asked)
    shape = r"(pass|(sell|buy)\d+ [a-z ]+?(, buy\d+ [a-z ]+?)?( (needs|trend|edge|expect)-?[1-9]\d*)*)\?"
    assert all(re.fullmatch(shape, line) for line in lines), sorted(lines)[:3]
    # The lines are no part of the messages, and what all are told begins them.
    assert not any(request.branches[1] in m.content for request in client.asked for m in request.messages)
    assert len({request.messages[0].content for request in client.asked}) == 1


def test_lines_are_those_that_the_adapter_was_taught_on() -> None:
    legs = (Leg(False, 0, 9, 3), Leg(True, 1, 8, 2), Leg(True, 2, 7, 2))
    line = offer_text(Action(legs, 40, 33, -3, 5, 4, 4, 3), ("berries", "acorns", "mushrooms"))
    # A number stands right behind its word. Whoever changes a line, or what is asked, teaches `judge-value` anew.
    assert line == "sell3 berries, buy4 acorns mushrooms needs4 trend-3 edge5 expect33?"
    assert f'"{line}"' in (ADAPTERS / "ADAPTER_CARD.md").read_text(encoding="utf-8")
    assert hashlib.sha256(ASK.encode()).hexdigest()[:16] == "1ea510876c784f0a"


def test_what_many_have_said_comes_first_and_once() -> None:
    assert heard_text(("honey is short", "acorns is plenty", "honey is short")) == (
        "honey is short (2 times)",
        "acorns is plenty",
    )


ODDS = st.lists(st.floats(-200, 200), min_size=1, max_size=16)


@given(ODDS, st.floats(0, 5), st.integers(0, 2**62))
def test_scores_are_read_as_they_were_written(values: list[float], heat: float, seed: int) -> None:
    taken = scored(values, heat, seed)
    assert read_scores(taken.to_text(heat > 0), len(values)) == taken
    assert sum(taken.shares()) == pytest.approx(1)
    assert 0 <= taken.margin <= 1
    if not heat:
        assert taken.values[taken.taken] == max(taken.values)


@given(st.text() | ODDS.map(str), st.integers(0, 16))
def test_whatever_is_no_scores_is_none(text: str, branches: int) -> None:
    found = read_scores(text, branches)
    assert found is None or len(found.values) == branches


@pytest.mark.parametrize(
    "text",
    ["", "[]", "[1]", "[1,2,3]", '[1,"2"]', "[1,NaN]", "[true,1]", "[1e999,0]", '{"taken":2,"scores":[1,2]}', "{}"],
)
def test_scores_of_another_menu_or_of_no_numbers_are_refused(text: str) -> None:
    assert read_scores(text, 2) is None


def test_a_draw_goes_by_the_odds() -> None:
    drawn = [scored([0.0, 2.0, -MOST], 1.0, seed).taken for seed in range(2_000)]
    share = Scores((0.0, 2.0, -MOST), 0).shares()[1]
    assert drawn.count(1) / len(drawn) == pytest.approx(share, abs=0.03)
    assert 2 not in drawn


@pytest.mark.parametrize("name", ["judge-value", "judge-hindsight"])
def test_an_adapter_of_ours_is_one_of_the_model_s_first_layers_with_a_record_of_its_training(name: str) -> None:
    header = read_header(ADAPTERS / f"{name}.gguf")
    record = json.loads((ADAPTERS / f"{name}.json").read_text(encoding="utf-8"))
    assert header.is_adapter and header.kept_layers == record["recipe"]["layers"] and header.licence == "apache-2.0"
    assert record["after"]["share_won"] > record["before"]["share_won"]
    assert name in (ADAPTERS / "ADAPTER_CARD.md").read_text(encoding="utf-8")
