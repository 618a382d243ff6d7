"""Turns carry who answered, with which model and at what cost; what a bill or a metric says comes from there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.decision import DecisionError
from swarm.agents.prompt_digest import PromptDigest, prompt_digest
from swarm.agents.turns import Call, Calls, Turns
from swarm.config_file import resolve
from swarm.llm import engines
from swarm.llm.protocol import Message, ModelReply, ModelRequest, TokenUsage
from swarm.monitoring.hub import Hub
from swarm.planning import compose
from swarm.runtime.play import play
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.record import RunRecord
from tests.playing import Outcomes


def reply(prompt: int, completion: int, latency_s: float = 0.0, **more: Any) -> ModelReply:
    return ModelReply("text", TokenUsage(prompt, completion, **more), "stop", latency_s, latency_s / 2)


def several() -> Turns:
    """Trader 5 asked two models, trader 6 none and trader 9 one of them three times."""
    made = [
        (0, Call("big", 1, reply(10, 1, 0.5))),
        (0, Call("small", 2, reply(20, 2, 0.25, cached_prompt=7))),
        (2, Call("small", 3, reply(30, 3, 1.0))),
        (2, Call("small", -4, reply(40, 4, 1.0, shared_prompt=9))),
        (2, Call("small", 5, reply(50, 5, 1.0))),
    ]
    models = ("big", "small", "unused")
    return Turns(
        trader=np.array([5, 6, 9]),
        mind=np.array([1, 0, 1]),
        text=("a", "over budget", "b"),
        finish_reason=("stop", "error", "stop"),
        pruned_messages=np.array([0, 3, 1]),
        minds=("lone", "council"),
        models=models,
        calls=Calls.of(
            [row for row, _ in made],
            [models.index(call.model) for _, call in made],
            [call.prompt_digest for _, call in made],
            [call.reply for _, call in made],
        ),
    )


def test_a_turn_sums_its_calls() -> None:
    turns = several()
    assert turns.prompt_tokens.tolist() == [30, 0, 120]
    assert turns.completion_tokens.tolist() == [3, 0, 12]
    assert turns.cached_prompt_tokens.tolist() == [7, 0, 0]
    assert turns.shared_prompt_tokens.tolist() == [0, 0, 9]
    assert turns.latency_s.tolist() == [0.75, 0.0, 3.0]
    assert turns.last_model.tolist() == [1, -1, 1]
    assert turns.mind_names == ["council", "lone", "council"]
    first = turns.first_token_s
    assert (first[0], first[2]) == (0.25, 0.5)
    assert np.isnan(first[1])


def test_joining_is_the_same_however_turns_are_spread() -> None:
    turns = several()
    other = Turns.asked_once("rule-free", "big", np.array([7, 2]), [reply(1, 1), None], [8, 9], np.array([0, 2]))
    joined = Turns.join([turns, other])
    assert joined.trader.tolist() == [2, 5, 6, 7, 9]
    assert joined.mind_names == ["rule-free", "council", "lone", "rule-free", "council"]
    assert joined.models == ("big", "small")
    assert [joined.models[m] for m in joined.calls.model] == ["big", "small", "big", "small", "small", "small"]
    assert joined.calls.turn.tolist() == [1, 1, 3, 4, 4, 4]
    assert joined.calls.prompt_digest.tolist() == [1, 2, 8, 3, -4, 5]
    assert Turns.join([other, turns]).to_record() == joined.to_record()
    assert Turns.join([]).to_record() == Turns.join([Turns.empty()]).to_record()


def test_a_record_keeps_all_but_what_lies_beside_the_history() -> None:
    turns = several()
    read = Turns.from_record(turns.to_record())
    assert read.to_record() == turns.to_record()
    assert not read.cached_prompt_tokens.any()
    assert not read.latency_s.any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trader", [-5, 6, 9]),
        ("trader", [5, 5, 9]),
        ("trader", [5, 6, True]),
        ("trader", [5, 6, 2**70]),
        ("trader", "abc"),
        ("mind", [0, 1]),
        ("mind", [0, 1, 2]),
        ("text", ["a", "b", 3]),
        ("finish_reason", ["stop", "stop", "dunno"]),
        ("pruned_messages", [0, 0, -1]),
        ("minds", None),
        ("models", [1]),
        ("calls", []),
        ("calls.turn", [0, 0, 3, 2, 2]),
        ("calls.turn", [0, 0, 2, 2, 1]),
        ("calls.model", [0, 1, 1, 1, 3]),
        ("calls.prompt_tokens", [1, 1, 1, 1]),
        ("calls.completion_tokens", [1, 1, 1, 1, 1.5]),
        ("calls.prompt_digest", [1, 1, 1, 1, 2**63]),
        ("calls.finish_reason", ["stop"] * 6),
    ],
)
def test_a_record_is_read_strictly_and_the_error_names_the_field(field: str, value: Any) -> None:
    record = several().to_record()
    holder = record["calls"] if "." in field else record
    holder[field.rpartition(".")[2]] = value
    with pytest.raises(ValueError, match=field):
        Turns.from_record(record)


@pytest.mark.parametrize("record", [None, [], "x", {}, several().to_record() | {"more": 1}])
def test_what_is_no_record_of_turns_is_refused(record: Any) -> None:
    with pytest.raises(ValueError, match="turns"):
        Turns.from_record(record)


def test_prompts_that_begin_alike_have_the_digests_of_their_whole_texts() -> None:
    digest = PromptDigest("rules", "public")
    for content in ("public and private", "public", "other ü"):
        assert digest.of(content) == prompt_digest((Message("system", "rules"), Message("user", content)))
    assert digest.of("public a") != digest.of("public b")
    assert -(2**63) <= digest.of("x") < 2**63


def played(config: dict[str, Any], folder: Path) -> tuple[list[RoundOutcome], RunRecord, dict[str, float]]:
    """A run's rounds, its record, and the dollars that its metrics say each model has cost."""
    outcomes, hub = Outcomes(), Hub(compose(resolve(config)).run, "process", folder)
    record = play(resolve(config), outcomes, hub).record
    dollars = {
        sample.labels["model"]: sample.value
        for family in hub.collect()
        for sample in family.samples
        if sample.name == "swarm_cost_dollars_total"
    }
    return outcomes.rounds, record, dollars


def test_a_turn_at_a_cheaper_model_is_billed_at_that_model_by_all_who_bill(tmp_path: Path) -> None:
    usd_per_million = {"dear": 40.0, "cheap": 1.0}
    config = {
        "name": "lean",
        "seed": 3,
        "rounds": 6,
        "population": 16,
        "models": [
            {"name": name, "temperament": "value", "usd_per_million_prompt_tokens": usd,
             "usd_per_million_completion_tokens": usd}
            for name, usd in usd_per_million.items()
        ],
        "traders": {"minds": {"dear": 1}},
        "budget": {"run_usd": 0.25},
    }  # fmt: skip
    rounds, record, dollars = played(config, tmp_path)
    spent = dict.fromkeys(usd_per_million, 0.0)
    for outcome in rounds:
        turns = outcome.gathered.turns
        assert set(turns.mind_names) <= {"dear"}
        for model, prompt, completion in zip(
            turns.calls.model, turns.calls.prompt_tokens, turns.calls.completion_tokens, strict=True
        ):
            name = turns.models[model]
            spent[name] += (prompt + completion) * usd_per_million[name] / 1e6
    assert spent["cheap"] > 0.0
    assert sum(spent.values()) <= 0.25
    assert dollars == pytest.approx(spent, abs=1e-9)
    summary = record.summary
    assert summary["tokens"]["usd"] == pytest.approx(spent, abs=1e-6)
    assert summary["budget"]["spent_usd"] == pytest.approx(sum(spent.values()), abs=1e-6)


class Unruly:
    """A client that answers with what it is given, however many replies that are."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        if isinstance(self.answer, Exception):
            raise self.answer
        replies = [reply(5, 5) for r in requests for _ in range(r.samples)]
        return self.answer(replies)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda replies: replies[:-1], DecisionError.ENGINE_PROTOCOL),
        (lambda replies: [*replies, replies[0]], DecisionError.ENGINE_PROTOCOL),
        (lambda replies: [], DecisionError.ENGINE_PROTOCOL),
        (lambda replies: [None, *replies[1:]], DecisionError.ENGINE_PROTOCOL),
        (lambda replies: None, DecisionError.ENGINE),
        (ValueError("boom"), DecisionError.ENGINE),
        (lambda replies: replies, DecisionError.NOT_JSON),
    ],
)
def test_a_client_that_breaks_its_protocol_costs_its_turns_and_not_the_run(answer: Any, error: DecisionError) -> None:
    models = [{"name": name, "temperament": "value"} for name in ("m", "n")]
    config = resolve({"name": "unruly", "seed": 1, "rounds": 2, "population": 8, "models": models})
    outcomes = Outcomes()
    play(config, outcomes, clients={"m": Unruly(answer), "n": engines.in_process(config.models[1])})
    assert len(outcomes.rounds) == 2
    for outcome in outcomes.rounds:
        turns, errors = outcome.gathered.turns, outcome.gathered.decisions.errors
        assert {(mind, e) for mind, e in zip(turns.mind_names, errors, strict=True)} == {("m", error), ("n", None)}
        assert len(turns.calls) == 8
