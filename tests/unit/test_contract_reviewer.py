"""The tiny reviewer of contracts: its tokens, the cases that it is schooled on, and that a schooled one answers."""

import gzip
import json
from pathlib import Path

import pytest

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm import engines
from swarm.llm.engines.embedded import review_tokens, tokenizer
from swarm.llm.engines.embedded.engine import NO_REVIEW, EmbeddedEngine
from swarm.llm.protocol import Message, ModelRequest
from swarm.scenarios.contract.form import asked
from swarm.scenarios.contract.rule_sets import named
from swarm.scenarios.contract.verdicts import CONTRADICTED, MET, MISSING
from swarm.training import launch
from swarm.training.contract_cases import cases_of
from swarm.training.recipe import ReviewerRecipe

LICENCE = next(rule for rule in named("nda").rules if rule.topic == "nda-15")
SENTENCES = (
    "This agreement is made between the two companies named above.",
    "The Receiver keeps what it learns secret and shows it to nobody.",
    "No licence or other right in the information is granted by this agreement.",
    "Each party pays its own costs of what is done under this agreement.",
    "A notice under this agreement is in writing and goes to the address above.",
)


def corpus(folder: Path) -> Path:
    """A copy of ContractNLI of our own: eight agreements in which a licence is denied, granted or not spoken of."""
    documents = []
    for number in range(24):
        choice = ("Entailment", "Contradiction", "NotMentioned")[number % 3]
        said = list(SENTENCES)
        said[2] = (
            SENTENCES[2],
            "A licence in the information is granted to the Receiver for good.",
            "It ends in a year.",
        )[number % 3]
        spans, at = [], 0
        for one in said:
            spans.append([at, at + len(one)])
            at += len(one) + 1
        told = {"nda-15": {"choice": choice, "spans": [] if choice == "NotMentioned" else [2]}}
        documents.append({"text": " ".join(said), "spans": spans, "annotation_sets": [{"annotations": told}]})
    (folder / "contract_nli").mkdir(parents=True)
    for name, part in (("dev", documents[:12]), ("train_truncated", documents[12:]), ("test", documents[:3])):
        with gzip.open(folder / "contract_nli" / f"{name}.json.gz", "wt", encoding="utf-8") as file:
            json.dump({"documents": part}, file)
    return folder


def test_a_case_becomes_rows_of_its_rule_its_lines_and_their_words() -> None:
    public, private = review_tokens.encode("REVIEW\n" + asked(LICENCE, SENTENCES[1:3]))
    assert len(public.rows) == 1
    shares = [row for row in private.rows if row[0] == review_tokens._SHARE]
    # The second line has all of the rule's words, and the first has none.
    assert [row[3] for row in shares] == [tokenizer.number_token(0), tokenizer.number_token(100)]
    has = [row[2] for row in private.rows if row[0] == review_tokens._SAYS and row[1] == review_tokens._letter("2")]
    assert review_tokens.HAS in has and review_tokens.LACKS in has
    assert review_tokens.encode("no case")[1].rows == ()
    assert [review_tokens.answer(letters) for letters in ("AB", "BA", "C")] == ["A2", "B", "C"]


def test_cases_have_the_verdict_that_their_lines_come_to(tmp_path: Path) -> None:
    cases = cases_of(corpus(tmp_path), 0, 1)
    assert {one.verdict for one in cases} == {MET, CONTRADICTED, MISSING}
    for one in cases:
        lines = one.text.split("\n")[2:]
        if one.verdict == MISSING:
            assert one.line == -1
            assert not any("licence" in line for line in lines)
        else:
            assert "licence" in lines[one.line]
            assert ("No licence" in lines[one.line]) == (one.verdict == MET)


def test_without_data_or_torch_schooling_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"DATA: .*contract_nli"):
        launch.train_reviewer(tmp_path, tmp_path / "out", ReviewerRecipe(), lambda _line: None)
    monkeypatch.setattr(launch, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(ConfigError, match=r"train-reviewer: .*torch"):
        launch.train_reviewer(corpus(tmp_path), tmp_path / "out", ReviewerRecipe(), lambda _line: None)


def test_a_schooled_reviewer_learns_and_answers_in_the_form(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    recipe = ReviewerRecipe(steps=60, batch_rounds=4)
    record = launch.train_reviewer(corpus(tmp_path), tmp_path / "out", recipe, lambda _line: None)
    assert record["held_out"]["right"] > record["held_out"]["commonest"]
    config = resolve({"models": [{"name": "tiny", "engine": "embedded", "path": str(tmp_path / "out")}]})
    client = engines.in_process(config.models[0])
    assert isinstance(client, EmbeddedEngine)
    schema = {"type": "string", "enum": ["B", "A1", "A2", "C1", "C2", "E"], "title": "review"}
    case = ModelRequest((Message("user", "REVIEW\n" + asked(LICENCE, SENTENCES[1:3])),), schema, 16, 7)
    (reply,) = client.answer([case], 9.0)
    assert reply.text == "A2"
    menu = ModelRequest((Message("user", "ROUND 1"),), {"enum": ["AA"]}, 16, 7)
    assert client.answer([menu], 9.0)[0].text == NO_REVIEW
