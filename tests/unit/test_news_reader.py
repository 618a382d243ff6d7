"""The tiny reader of news: its tokens, what it was schooled on, and that it reads what it was not schooled on."""

from typing import Any

import numpy as np
import pytest

from swarm.bench.supply_reading import Question, other_questions, questions
from swarm.config_file import resolve
from swarm.llm import engines
from swarm.llm.engines.embedded import news_tokens
from swarm.llm.engines.embedded.engine import NO_MENU, NO_NEWS, EmbeddedEngine
from swarm.llm.protocol import Message, ModelRequest
from swarm.runtime.play import play
from swarm.scenarios.supply_chain import news
from swarm.training.news_corpus import Line, drawn_facts, fitting, make, prompt_of, taught_line
from swarm.training.wordings import EXAMINED, TAUGHT, Wordings

SCHEMA = {"type": "string", "enum": list("ABCDEFG"), "title": "replenish"}


@pytest.fixture(scope="module")
def asked() -> list[Question]:
    return questions()


def reader() -> EmbeddedEngine:
    config = resolve({"models": [{"name": "tiny", "engine": "embedded", "temperament": "reader"}]})
    client = engines.in_process(config.models[0])
    assert isinstance(client, EmbeddedEngine)
    return client


def requests(of: list[Question]) -> list[ModelRequest]:
    return [ModelRequest((Message("user", one.text),), SCHEMA, 16, 7) for one in of]


def said(wordings: Wordings) -> set[str]:
    return {*wordings.more, *wordings.less, *wordings.nothing, *wordings.rush, *wordings.closed}


def test_no_wording_of_runs_or_examinations_was_schooled() -> None:
    of_runs = {*news._MORE, *news._LESS, *news.NOISE}
    assert not said(TAUGHT) & (said(EXAMINED) | of_runs)
    assert not said(EXAMINED) & of_runs


def test_a_prompt_of_the_schooling_has_the_rows_of_a_prompt_of_a_run(asked: list[Question]) -> None:
    random = np.random.default_rng(1)
    lines = [taught_line(random, "bay")]
    public, private = news_tokens.encode(prompt_of(lines, drawn_facts(random, "bay", 100), 7))
    run_public, run_private = news_tokens.encode(asked[0].text)
    for one, other in ((public, run_public), (private, run_private)):
        assert {row[0] for row in one.rows} == {row[0] for row in other.rows}
    assert [row[:2] for row in private.rows[3:]] == [row[:2] for row in run_private.rows[3:]]
    assert [len(row) for row in private.rows] == [len(row) for row in run_private.rows]
    # Five lines of the menu say a change, and the last two none.
    assert [len(row) == 3 and row[2] > 0 for row in run_private.rows[3:]] == [True] * 5 + [False] * 2


def test_a_region_is_known_by_no_name(asked: list[Question]) -> None:
    text = asked[0].text
    assert news_tokens.encode(text)[0].rows == news_tokens.encode(text.replace("coast", "zealand"))[0].rows
    about = {row[1] for row in news_tokens.encode(text.replace("retailer-0, coast", "retailer-0, moor"))[0].rows}
    assert about == {news_tokens.ELSEWHERE}


def test_overlong_news_and_a_prompt_of_something_else_are_borne() -> None:
    public, private = news_tokens.encode("NEWS " + "word " * 500 + "9" * 400 + " nan inf\nYOU a, b\nMENU\nA plan")
    assert len(public.rows) == news_tokens.MOST_NEWS_ROWS
    assert len(private.rows) == 1
    assert not news_tokens.encode("What is 2 + 2?")[1].rows
    assert max(max(row) for row in public.rows) < news_tokens.SIZE


@pytest.mark.parametrize(
    ("lines", "share", "letter"),
    [
        ([], 100, "A"),
        ([Line("", "bay", 60.0)], 100, "C"),
        ([Line("", "bay", -60.0)], 100, "E"),
        ([Line("", "bay", 60.0)], 50, "B"),
        ([Line("", "bay", 0.0)], 100, "A"),
        ([Line("", "bay", 60.0), Line("", "moor", -40.0)], 100, "C"),
        ([Line("", "bay", letter="F")], 100, "F"),
        ([Line("", "bay", letter="G")], 10, "A"),
    ],
)
def test_the_letter_that_fits_follows_from_how_the_news_was_made(lines: list[Line], share: int, letter: str) -> None:
    # A retailer of the tree: five a round over two rounds, so that a deviation is 32 percent.
    facts = drawn_facts(np.random.default_rng(2), "bay", share)
    facts = type(facts)("r", "bay", 5, 10, 0, 0, 5, 5.0, 2, 10, 400, share)
    assert fitting(lines, facts) == letter


def test_examples_are_the_same_every_time_and_of_all_letters() -> None:
    one, other = make(4, 40, 6), make(4, 40, 6)
    assert np.array_equal(one.private, other.private) and np.array_equal(one.actions, other.actions)
    assert len(set(one.actions.ravel().tolist())) >= 6
    assert (one.public[..., 0] > 0).any(axis=1).all()


def test_the_reader_reads_wordings_that_it_was_not_schooled_on(asked: list[Question]) -> None:
    client = reader()
    for of in (asked, other_questions()):
        replies = client.answer(requests(of), 60.0)
        right = np.mean([reply.text == one.right for reply, one in zip(replies, of, strict=True)])
        rights = [one.right for one in of]
        chance = max(rights.count(letter) for letter in set(rights)) / len(rights)
        assert right > chance + 0.2


def test_a_letter_depends_on_its_prompt_alone(asked: list[Question]) -> None:
    client = reader()
    together = [reply.text for reply in client.answer(requests(asked[:20]), 60.0)]
    assert together == [client.answer([request], 60.0)[0].text for request in requests(asked[:20])]
    assert set("".join(together)) <= set("ABCDEFG")


def test_each_embedded_model_says_what_it_does_not_answer(asked: list[Question]) -> None:
    menu = ModelRequest((Message("user", "ROUND 1\nYOU a\nMENU\nA pass"),), {"enum": ["AA", "AB"]}, 2, 1)
    assert reader().answer([menu], 60.0)[0].text == NO_NEWS
    config = resolve({"models": [{"name": "tiny", "engine": "embedded", "temperament": "value"}]})
    five: Any = engines.in_process(config.models[0])
    reply = five.answer(requests(asked[:1]), 60.0)[0]
    assert (reply.text, reply.finish_reason) == (NO_MENU, "error")


def test_a_run_of_readers_departs_where_the_news_is_and_nowhere_else() -> None:
    shift = {"region": "coast", "first_round": 3, "permille": 1_600}
    tiny = {"name": "tiny", "engine": "embedded", "temperament": "reader"}
    config = {
        "seed": 2,
        "rounds": 6,
        "population": 25,
        "scenario": {"name": "supply_chain", "shifts": [shift]},
        "models": [tiny],
        "traders": {"minds": {"tiny": 1}, "standing": {"max_rounds": 1_000}},
    }
    found = play(resolve(config)).record.summary
    (line,) = found["supply"]["news"]
    assert line["departed"] > line["concerned"] / 2
    assert not sum(found["decision_errors"].values())
