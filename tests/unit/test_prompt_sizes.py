"""A turn stays within its tokens as the engine counts them, however its tokenizer differs from the estimate."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.decision import DecisionError
from swarm.config_file import resolve
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.engines.scripted.engine import ScriptedEngine
from swarm.llm.protocol import ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.llm.temperament import Temperament
from swarm.llm.tokens import (
    ESTIMATED,
    MESSAGE_OVERHEAD,
    TokenSize,
    count_tokens,
    count_tokens_by_line,
    further_digits,
)
from swarm.runtime.play import play
from swarm.simulation import history
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.traders import RecordedTraders, ResumedTraders
from tests.playing import Outcomes
from tests.unit.test_desks import Fake, call, read, script, turn

REPLY = {"orders": 200, "menu": 16}
Count = Callable[[str], int]


@given(st.text(st.sampled_from("aB9é,. \t\n\r\v\u2028\x1c€12") | st.characters(), max_size=60))
def test_a_text_has_as_many_tokens_as_its_lines_and_their_ends(text: str) -> None:
    assert count_tokens_by_line(text) == count_tokens(text)


def digits_singly(text: str) -> int:
    """As Llama 2, Mistral and Gemma count: each digit is a token."""
    return len(re.findall(r"[A-Za-z]{1,5}|[0-9]|[^\sA-Za-z0-9]|\n", text))


def short_words(text: str) -> int:
    """As a small vocabulary counts: words fall into many pieces, numbers into digits."""
    return len(re.findall(r"[A-Za-z]{1,4}|[0-9]|[^\sA-Za-z0-9]|\n", text))


def words_alone(text: str) -> int:
    """Words fall into more pieces than estimated, and numbers do not."""
    return len(re.findall(r"[A-Za-z]{1,4}|[0-9]{1,3}|[^\sA-Za-z0-9]|\n", text))


class Counting:
    """A scripted policy behind a tokenizer of its own."""

    def __init__(self, count: Count, temperament: Temperament) -> None:
        self.count = count
        self.inner: ModelClient = ScriptedEngine(ScriptedModel(name="m", temperament=temperament))

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """The policy's replies, whose prompts are counted anew."""
        replies = await self.inner.complete(requests, deadline_s)
        samples = [request for request in requests for _ in range(request.samples)]
        return [
            replace(r, usage=replace(r.usage, prompt=self.tokens(request)))
            for request, r in zip(samples, replies, strict=True)
        ]

    def tokens(self, request: ModelRequest) -> int:
        return sum(self.count(m.content) + MESSAGE_OVERHEAD for m in request.messages)


def config(form: str, hears: int, limit: int) -> dict[str, Any]:
    endpoint = {
        "engine": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "model": "m",
        "max_completion_tokens": REPLY[form],
    }
    return {
        "seed": 3,
        "rounds": 8,
        "population": 45,
        "models": [{"name": "m", "form": form, **endpoint}],
        "traders": {"hears": hears},
        "budget": {"tokens_per_turn": limit},
    }


def run(
    data: dict[str, Any], count: Count, folder: Path | None = None, until: int = 99
) -> tuple[str, list[RoundOutcome]]:
    """The hash of a run's journal, and its rounds; with a `folder`, it goes on from what is there."""
    path = folder / "journal.swarm" if folder else None
    past = history.read(path) if path and history.begun(path) else None
    outcomes, decided = Outcomes(), past.decisions if past else {}
    played = play(
        resolve(data),
        outcomes,
        clients={"m": Counting(count, "value")},
        journals_in=folder,
        traders=lambda plan, port: ResumedTraders(RecordedTraders({1: plan.shard}, decided), port),
        stop=lambda: len(outcomes.rounds) >= until,
    )
    return played.journal_sha256, outcomes.rounds


def spent(rounds: list[RoundOutcome]) -> list[int]:
    """The most tokens of a turn by round."""
    return [int((o.gathered.turns.prompt_tokens + o.gathered.turns.completion_tokens).max(initial=0)) for o in rounds]


def pruned(rounds: list[RoundOutcome]) -> int:
    return sum(int(o.gathered.turns.pruned_messages.sum()) for o in rounds)


TOKENIZERS = (digits_singly, short_words, words_alone)


@pytest.mark.parametrize("count", TOKENIZERS)
@pytest.mark.parametrize("form", ["orders", "menu"])
def test_no_turn_is_over_its_tokens_in_an_engine_that_counts_more(form: str, count: Count) -> None:
    # A budget that a prompt without gossip fits, and all gossip does not.
    _, free = run(config(form, 40, 9_000), count)
    prompts = [o.gathered.turns.prompt_tokens for o in free]
    limit = int(max(prompts[0])) + REPLY[form] + 100
    assert max(map(max, prompts)) + REPLY[form] > limit
    _, rounds = run(config(form, 40, limit), count)
    assert max(spent(rounds)) <= limit
    # Who is not even asked is counted so, too: a menu that has grown need not fit any more.
    over = [e for o in rounds for e in o.gathered.decisions.errors if e is DecisionError.OVER_BUDGET]
    assert len(over) <= 0.01 * sum(len(o.gathered.turns) for o in rounds)
    assert sum(len(o.gathered.decisions.orders) for o in rounds) > 100
    # What is cut is gossip, and no more of it than has to be.
    assert pruned(rounds) > 50
    fullest = max(int(o.gathered.turns.prompt_tokens.max()) for o in rounds) + REPLY[form]
    assert fullest > 0.9 * limit


def test_without_what_was_learned_turns_would_be_over_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.simulation.prompt_sizes.PromptSizes.learn", lambda *_: None)
    _, free = run(config("menu", 40, 9_000), digits_singly)
    limit = int(max(free[0].gathered.turns.prompt_tokens)) + REPLY["menu"] + 100
    _, rounds = run(config("menu", 40, limit), digits_singly)
    assert max(spent(rounds)) > limit


def test_it_is_told_where_prompts_fit_no_turn_even_without_gossip(caplog: pytest.LogCaptureFixture) -> None:
    _, free = run(config("menu", 3, 9_000), digits_singly, until=1)
    assert not caplog.records
    least = int(min(free[0].gathered.turns.prompt_tokens))
    _, rounds = run(config("menu", 3, least), digits_singly, until=3)
    [told] = [record.getMessage() for record in caplog.records]
    assert "models: m: " in told
    assert "budget.tokens_per_turn" in told
    # Who cannot be asked within the budget is not asked again.
    assert len(rounds[0].gathered.turns.calls) > len(rounds[2].gathered.turns.calls) == 0


@pytest.mark.parametrize("form", ["orders", "menu"])
def test_an_engine_that_counts_as_estimated_changes_nothing(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = config(form, 40, 850 if form == "orders" else 700)
    learned, rounds = run(data, count_tokens)
    assert pruned(rounds) > 0
    monkeypatch.setattr("swarm.simulation.prompt_sizes.PromptSizes.learn", lambda *_: None)
    assert run(data, count_tokens)[0] == learned


@pytest.mark.parametrize("after", [1, 5])
def test_a_run_that_goes_on_cuts_its_prompts_as_it_would_have(after: int, tmp_path: Path) -> None:
    _, free = run(config("menu", 40, 9_000), digits_singly)
    data = config("menu", 40, int(max(free[0].gathered.turns.prompt_tokens)) + REPLY["menu"] + 100)
    through, rounds = run(data, digits_singly, tmp_path / "through")
    run(data, digits_singly, tmp_path / "parts", until=after)
    went_on, again = run(data, digits_singly, tmp_path / "parts")
    assert went_on == through
    assert pruned(again) == pruned(rounds) > 0
    # Not a single model is asked by a replay, and it comes to the same.
    assert history.read(tmp_path / "through" / "journal.swarm").rounds == 8


texts = st.text("abc 0123456789,:.\n", max_size=200)


@given(texts, st.sampled_from(TOKENIZERS), st.lists(texts, max_size=5))
def test_a_size_bounds_every_prompt_that_it_was_learned_from(text: str, count: Count, others: list[str]) -> None:
    size = ESTIMATED
    for one in (text, *others):
        size = size.learned(count(one), count_tokens(one), further_digits(one))
    for one in (text, *others):
        assert size.of(count_tokens(one), further_digits(one)) >= count(one)
    assert size.as_estimated == all(count(one) <= count_tokens(one) for one in (text, *others))


def test_more_digits_are_foreseen_where_digits_are_what_costs() -> None:
    size = ESTIMATED.learned(
        digits_singly("acorns 20 4 3"), count_tokens("acorns 20 4 3"), further_digits("acorns 20 4 3")
    )
    grown = "acorns 200 430 312"
    assert size.of(count_tokens(grown), further_digits(grown)) >= digits_singly(grown)


def test_a_desk_learns_within_its_turn_what_the_engine_makes_of_its_prompts() -> None:
    fake = Fake(script(call("market_data")), usage=TokenUsage(0, 0))

    class Dear:
        async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
            [reply] = await fake.complete(requests, deadline_s)
            estimate = sum(count_tokens(m.content) + MESSAGE_OVERHEAD for m in requests[0].messages)
            return [replace(reply, usage=TokenUsage(2 * estimate, 20))]

    taken = turn(Dear(), max_tokens=3_000, max_steps=30)
    assert sum(one.reply.usage.total for one in taken.calls) <= 3_000
    assert len(fake.asked) > 1
    assert read(taken, 3_000).errors == (DecisionError.OVER_BUDGET,)


def test_a_count_below_the_estimate_teaches_nothing() -> None:
    assert ESTIMATED.learned(90, 100, 10) == ESTIMATED
    assert TokenSize(1_500, 1_200, 800).learned(90, 100, 10) == TokenSize(1_500, 1_200, 800)
    assert ESTIMATED.of(100, 50) == 100
