"""A real language model in llama.cpp: what it writes, what it scores, what it costs, and what goes wrong."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarm.config_file import load
from swarm.errors import ModelError
from swarm.llm.engines.llama.config import located
from swarm.llm.engines.llama.gguf import read_header
from swarm.llm.protocol import Message, ModelRequest
from swarm.llm.scores import read_scores
from swarm.runtime.play import play
from swarm.training.corpus import HELD_OUT_FROM
from swarm.training.offers import offers_of
from tests.llama import tiny
from tests.llama.conftest import PACKAGE, Running

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "side": {"type": "string", "enum": ["buy", "sell"]},
        "price": {"type": "integer", "minimum": 1, "maximum": 50},
        "thought": {"type": "string", "maxLength": 20},
    },
    "required": ["side", "price", "thought"],
    "additionalProperties": False,
}
MESSAGES = (Message("system", "You answer in JSON."), Message("user", "Acorns cost 20. Give an order."))
WRITE = ModelRequest(MESSAGES, SCHEMA, 60, 7)
SCORE = ModelRequest(
    (Message("system", "You say yes or no."), Message("user", "Say whether what follows is an animal.")),
    {},
    1,
    7,
    temperature=0.0,
    branches=("Is a dog an animal?", "Is a stone an animal?", "Is a dog an animal?", "pass?"),
)


def test_what_is_written_keeps_to_the_schema_and_repeats_by_its_seed(real: Running) -> None:
    first, again, other = (real.ask(r)[0] for r in (WRITE, WRITE, replace(WRITE, seed=8)))
    assert first.finish_reason == "stop"
    assert set(json.loads(first.text)) == set(SCHEMA["required"])
    assert ": " not in first.text, "no room for white space"
    assert (first.text, first.usage.prompt) == (again.text, again.usage.prompt)
    assert other.text != first.text
    # All of the prompt but its last token was in a slot's cache.
    assert again.usage.cached_prompt == again.usage.prompt - 1
    assert first.usage.completion > 5
    assert first.first_token_s is not None


def test_samples_share_their_prompt(real: Running) -> None:
    one, two, three = real.ask(replace(WRITE, more_seeds=(8, 9)))
    assert [r.usage.shared_prompt for r in (one, two, three)] == [0, two.usage.prompt, three.usage.prompt]
    assert len({one.text, two.text, three.text}) > 1


def test_scores_are_log_odds_and_count_every_token_once(real: Running) -> None:
    [reply] = real.ask(SCORE)
    scores = read_scores(reply.text, len(SCORE.branches))
    assert scores is not None
    assert scores.values[0] == scores.values[2], "the same line has the same score"
    assert scores.values[0] > scores.values[1], "of a dog and a stone, it knows which is an animal"
    assert reply.usage.completion == 0
    assert reply.usage.prompt > 40
    [again] = real.ask(SCORE)
    assert again.text == reply.text
    assert again.usage.cached_prompt > reply.usage.cached_prompt
    # What is scored beside a line changes its score by no more than kernels for few and for many tokens differ.
    [alone] = real.ask(replace(SCORE, branches=SCORE.branches[1:2]))
    assert json.loads(alone.text) == pytest.approx([scores.values[1]], abs=0.3)


def test_a_draw_by_temperature_names_what_it_took(real: Running) -> None:
    replies = real.ask(replace(SCORE, temperature=2.0, more_seeds=tuple(range(20))))
    taken = [json.loads(reply.text)["taken"] for reply in replies]
    assert len(set(taken)) > 1
    assert len({json.dumps(json.loads(reply.text)["scores"]) for reply in replies}) == 1
    assert replies[1].usage.shared_prompt == replies[1].usage.prompt


def test_a_choice_says_how_sure_it_was(real: Running) -> None:
    letters = ModelRequest(MESSAGES, {"type": "string", "enum": ["AA", "BA"]}, 8, 3, margin=True)
    written, scored = real.ask(letters, replace(SCORE, margin=True))
    assert json.loads(written.text) in ("AA", "BA")
    assert written.margin is not None
    assert -1 <= written.margin <= 1
    assert scored.margin is not None


def test_what_is_late_or_too_long_is_a_failure_of_its_own(real: Running) -> None:
    assert {r.finish_reason for r in real.ask(WRITE, SCORE, deadline_s=0.0)} == {"deadline"}
    long = replace(WRITE, messages=(Message("user", "acorns " * 600),))
    fine, too_long = real.ask(WRITE, long)
    assert (fine.finish_reason, too_long.finish_reason) == ("stop", "too_large")
    [too_long] = real.ask(replace(SCORE, messages=long.messages))
    assert too_long.finish_reason == "too_large"
    [cut] = real.ask(replace(WRITE, schema={}, max_tokens=3))
    assert (cut.finish_reason, cut.usage.completion) == ("length", 3)
    # What was broken off leaves the engine as it was.
    assert real.ask(replace(WRITE, schema={}, max_tokens=400), deadline_s=0.3)[0].finish_reason in ("deadline", "stop")
    assert real.ask(WRITE)[0].finish_reason == "stop"


def test_nobody_can_reach_it_over_a_network(real: Running) -> None:
    # The listing's own descriptor is gone when it is looked at, so what cannot be read is passed over.
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            links.append(str(descriptor.readlink()))
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert not [row for row in listening if row[3] == "0A" and row[9] in inodes]


def test_what_llama_cpp_does_not_know_is_said_in_one_line(tmp_path: Path) -> None:
    unknown = tiny.write(tmp_path / "unknown.gguf", tiny.LLAMA | {"general.architecture": "of-next-year"})
    with pytest.raises(ModelError, match=r"models: real.*unknown\.gguf.*architecture") as caught:
        Running(path=str(unknown))
    assert "\n" not in str(caught.value)


def test_the_wood_runs_with_it_and_repeats() -> None:
    config = load(Path("configs/real.yaml"), ("rounds=2", "population=2", "traders.minds={smollm2: 1, zi_c: 1}"))
    first, again = play(config), play(config)
    assert not first.summary["decision_errors"]
    assert first.journal_sha256 == again.journal_sha256


def test_a_template_without_a_system_role_is_told_the_rules_by_the_user(tmp_path: Path) -> None:
    whole = located(PACKAGE)
    header = read_header(whole)
    # A template of the same length in the file's own, which refuses what a system says.
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    says = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    ends = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    room = len(header.chat_template.encode())
    template = (refuses + says + ends).encode()
    template += b"{#" + b" " * (room - len(template) - 4) + b"#}"
    at = header.value_at["tokenizer.chat_template"] + 8
    content = bytearray(whole.read_bytes())
    content[at : at + room] = template
    file = tmp_path / "folded.gguf"
    file.write_bytes(content)
    running = Running(path=str(file), accept_licence="apache-2.0")
    try:
        written, scored = running.ask(WRITE, SCORE)
    finally:
        running.close()
    assert (written.finish_reason, scored.finish_reason) == ("stop", "stop")
    assert set(json.loads(written.text)) == set(SCHEMA["required"])


@pytest.fixture(scope="module")
def taught() -> Iterator[Running]:
    """SmolLM2 with the adapter that travels with the code, in eight bits."""
    running = Running(adapter="judge-value", form="judge", eight_bits=True, temperature=0.0)
    yield running
    running.close()


def test_with_its_adapter_it_takes_the_rules_action_and_cannot_write(taught: Running) -> None:
    rounds, _ = offers_of(HELD_OUT_FROM, 8)
    menus = [one for of_round in rounds for one in of_round]
    replies = taught.ask(*(ModelRequest(one.messages, {}, 16, 1, branches=one.lines) for one in menus))
    scores = [read_scores(reply.text, len(one.lines)) for reply, one in zip(replies, menus, strict=True)]
    right = sum(s is not None and s.taken == one.best for s, one in zip(scores, menus, strict=True))
    # By lot it would be one of ten; 0.82 of 200 were measured.
    assert right >= 4
    [mute] = taught.ask(WRITE)
    assert mute.finish_reason == "error"
    assert "cannot write" in mute.text
