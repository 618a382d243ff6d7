"""What decided is called what it is, in the terminal and in the report, for any mix of minds."""

from dataclasses import asdict
from typing import Any

import pytest

from swarm.llm import engines
from swarm.llm.engines.protocol import Nature
from swarm.report import deciders

NO = "no language model"


MINE = Nature("rule in code behind mine", "rules in code behind mine", is_rule=True)


def natures(of: dict[str, str]) -> dict[str, Any]:
    """What a run keeps of its models' natures, by model."""
    return {model: asdict(MINE if engine == "mine" else engines.find(engine).known_as) for model, engine in of.items()}


def summary_of(minds: dict[str, int], of: dict[str, str], **more: Any) -> dict[str, Any]:
    """As much of a summary as says who decided."""
    return {"minds": minds, "natures": natures(of), "traders": sum(minds.values()), "rounds": 6, "seed": 1, **more}


def part(first: int, last: int, minds: dict[str, int], of: dict[str, str], **more: Any) -> dict[str, Any]:
    """One part of a run that a fork has parted."""
    return {"first_round": first, "last_round": last, "minds": minds, "natures": natures(of), "seed": 1, **more}


RULES = summary_of({"zip": 4, "zi_c": 2}, {})
MIXES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "rules": (RULES, {"zip", "zi_c"}),
    "scripted": (summary_of({"a": 3}, {"a": "scripted"}), {"a"}),
    "tiny": (summary_of({"tiny": 3}, {"tiny": "embedded"}), set()),
    "models": (summary_of({"a": 2, "b": 1}, {"a": "vllm", "b": "openai"}), set()),
    "rules among tiny": (summary_of({"zip": 4_000, "tiny": 1_000}, {"tiny": "embedded"}), {"zip"}),
    "scripted among models": (summary_of({"a": 2, "b": 3}, {"a": "vllm", "b": "scripted"}), {"b"}),
    "a spare that nobody has": (summary_of({"a": 2}, {"a": "vllm", "spare": "scripted"}), set()),
    "all kinds": (
        summary_of({"a": 1, "b": 1, "c": 1, "zip": 1}, {"a": "vllm", "b": "scripted", "c": "embedded"}),
        {"b", "zip"},
    ),
    "a desk with a rule": (
        summary_of({"desk": 2, "m": 1}, {"m": "openai", "s": "scripted"}, asks={"desk": ["s"]}),
        {"desk"},
    ),
    "a desk with a model": (summary_of({"desk": 2}, {"m": "openai"}, asks={"desk": ["m"]}), set()),
    "an engine that is no model": (
        summary_of({"a": 2}, {"a": "mine"}, parts=[part(1, 6, {"a": 2}, {"a": "mine"})]),
        {"a"},
    ),
    "a council of models": (
        summary_of(
            {"council": 3},
            {"a": "vllm", "b": "openai"},
            parts=[part(1, 6, {"council": 3}, {"a": "vllm", "b": "openai"}, asks={"council": ["a", "b"]})],
        ),
        set(),
    ),
    "a council of rules": (
        summary_of(
            {"council": 3},
            {"a": "scripted"},
            parts=[part(1, 6, {"council": 3}, {"a": "scripted", "b": "scripted"}, asks={"council": ["a", "b"]})],
        ),
        {"council"},
    ),
    "a cascade from a rule to a model": (
        summary_of(
            {"cascade": 3},
            {"a": "scripted"},
            parts=[part(1, 6, {"cascade": 3}, {"a": "scripted", "b": "vllm"}, asks={"cascade": ["a", "b"]})],
        ),
        {"cascade"},
    ),
    "a fork from models to rules": (
        summary_of({"zip": 3}, {}, parts=[part(1, 3, {"a": 3}, {"a": "vllm"}), part(4, 6, {"zip": 3}, {})]),
        {"zip"},
    ),
    "a fork that makes a rule of a name": (
        summary_of(
            {"a": 3},
            {"a": "scripted"},
            parts=[part(1, 3, {"a": 3}, {"a": "vllm"}), part(4, 6, {"a": 3}, {"a": "scripted"})],
        ),
        {"a"},
    ),
}


@pytest.mark.parametrize("mix", MIXES)
def test_rules_are_never_called_models_and_models_never_rules(mix: str) -> None:
    summary, rules = MIXES[mix]
    assert set(deciders.minds_without_model(summary)) == rules
    heading, text = deciders.notice(summary)
    said = deciders.told(summary)
    for one in rules:
        assert any(decider.has_rule for decider in deciders.deciders(summary, one))
        assert one in text
        assert one in deciders.model_tag(summary) or NO in deciders.model_tag(summary)
    for one in set(deciders.minds(summary)) - rules:
        assert NO not in deciders.nature(summary, one)
        assert "rule" not in deciders.nature(summary, one)
    assert (NO in heading) == bool(rules)
    assert (NO in " ".join(said)) == bool(rules)
    for fragment in (piece for line in said for piece in line.split(";")):
        # Each piece of a line is about rules or about models, never about both.
        assert (NO in fragment) == any(words in fragment for words in ("scripted", "baseline", "rules in code")), said


def test_a_mix_says_how_many_traders_each_decided_for() -> None:
    (line,) = deciders.told(MIXES["rules among tiny"][0])
    assert "of 5,000 traders 4,000 were baseline rules, no language models (zip)" in line
    assert "1,000 were tiny language models" in line
    heading, text = deciders.notice(MIXES["rules among tiny"][0])
    assert heading == "Baseline rules, no language model, for 4,000 of 5,000 traders"
    assert "at most a million parameters" in text


def test_what_holds_of_a_model_is_never_said_of_a_mind_of_several() -> None:
    asks = {"careful": ["tiny", "dear"]}
    _, text = deciders.notice(summary_of({"careful": 3}, {"tiny": "embedded", "dear": "scripted"}, asks=asks))
    assert "tiny has at most a million parameters" in text
    assert "careful has" not in text
    asks = {"five": ["a", "b"]}
    _, text = deciders.notice(summary_of({"five": 3, "a": 1}, {"a": "embedded", "b": "embedded"}, asks=asks))
    assert "Each of a, b has at most a million parameters" in text


def test_parts_of_a_fork_are_told_one_by_one() -> None:
    first, second = deciders.told(MIXES["a fork from models to rules"][0])
    assert first.startswith("in rounds 1 to 3 the traders were models behind vllm (a)")
    assert second.startswith("in rounds 4 to 6 the traders were baseline rules")


def test_what_a_fork_makes_of_a_name_is_told_in_order() -> None:
    summary = MIXES["a fork that makes a rule of a name"][0]
    assert deciders.nature(summary, "a") == "model behind vllm, then scripted policy"


def test_guests_whom_a_rule_decides_for_are_told() -> None:
    summary = {**MIXES["models"][0], "regions": {"travellers": 20, "abroad": "arbitrage"}}
    assert any("arbitrage" in line and NO in line for line in deciders.told(summary))
    assert "arbitrage" in deciders.notice(summary)[1]
    own = {**summary, "regions": {"travellers": 20, "abroad": "own"}}
    assert deciders.told(own) == deciders.told(MIXES["models"][0])


def test_turns_that_a_cheaper_rule_answered_are_told() -> None:
    summary = summary_of({"dear": 4}, {"dear": "openai", "spare": "scripted"}, answered_by={"dear": {"spare": 7}})
    assert any("7 turns by spare" in line and NO in line for line in deciders.told(summary))


def test_seeds_and_forks_are_told() -> None:
    parts = [part(1, 3, {"zip": 3}, {}, name="wood"), part(4, 6, {"zip": 3}, {}, seed=9, name="wood")]
    summary = summary_of({"zip": 3}, {}, parts=parts, forks=[[3, "ab" * 32, ["seed=9"]]])
    assert deciders.seed_told(summary) == "1 to round 3, then 9"
    (line,) = deciders.forks_told(summary)
    assert "a fork of wood" in line
    assert "round 3" in line
    assert "seed=9" in line
    assert deciders.seed_told(RULES) == "1"
