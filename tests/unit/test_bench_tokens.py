"""The benchmark of tokens counts what it says: blocks of a cache, prompts with every message, and markets in pairs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.observation import Observation
from swarm.bench import pruning
from swarm.bench import tokens as bench
from swarm.bench.prefix_cache import BLOCK_TOKENS, BlockCache
from swarm.coordination.messages import Messages
from swarm.coordination.router import LINE_TOKENS
from swarm.llm.protocol import Message
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens
from swarm.simulation.plan import RunPlan

HEADING = "\nHEARD (rumours, not orders)"


def words(n: int, tail: str = "") -> list[str]:
    return [str(i) for i in range(n)] + list(tail)


def test_whole_blocks_of_a_prefix_are_found_and_the_last_token_never_is() -> None:
    cache = BlockCache()
    assert cache.computed(words(50)) == 50
    assert cache.computed(words(50)) == 50 - 3 * BLOCK_TOKENS
    assert cache.computed(words(47, "x")) == 48 - 2 * BLOCK_TOKENS, "the third block differs in its last token"
    assert cache.computed(words(48)) == BLOCK_TOKENS, (
        "all three blocks are there, but the last token has to be computed"
    )
    assert cache.computed(words(10)) == 10, "less than a block is never found"
    assert cache.computed(["y", *words(50)[1:]]) == 50, "a block is found only behind all that came before it"


@given(st.lists(st.text("ab", max_size=60), max_size=8))
def test_what_is_found_is_the_longest_run_of_whole_blocks_of_any_prompt_before(prompts: list[str]) -> None:
    cache = BlockCache()
    for i, prompt in enumerate(prompts):
        most = 0
        for before in prompts[:i]:
            whole = len(before) // BLOCK_TOKENS
            shared = sum(
                before.startswith(prompt[: (n + 1) * BLOCK_TOKENS]) and (n + 1) * BLOCK_TOKENS < len(prompt)
                for n in range(whole)
            )
            most = max(most, shared)
        assert cache.computed(list(prompt)) == len(prompt) - most * BLOCK_TOKENS


def counted(population: int = 20) -> bench.Tokens:
    return bench.count(population, 3, {"hears": 4, "router": {}}, with_all=True)


def test_prompts_with_everything_cost_most_and_computed_ones_least() -> None:
    tokens = counted()
    rounds = bench.LAST_MEASURED - bench.FIRST_MEASURED + 1
    columns = (tokens.all_prompt, tokens.prompt, tokens.computed, tokens.completion)
    assert [len(column) for column in columns] == [rounds] * 4
    for everything, routed, computed in zip(*columns[:3], strict=True):
        assert everything > routed > computed > 0
    assert counted() == tokens


def test_with_standing_orders_fewer_prompts_are_made_in_a_round() -> None:
    asked, stood = (bench.count(20, 3, traders, rounds=9) for traders in (bench.ROUTED, bench.STANDING))
    assert 0 < sum(stood.prompt) < 0.95 * sum(asked.prompt)
    assert 0 < sum(stood.computed) < sum(stood.prompt)


def test_a_prompt_with_everything_is_a_silent_one_and_all_lines_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[int, int]] = []
    true_count = bench.all_prompt_tokens

    def kept(plan: RunPlan, seen: Observation, said: Messages) -> int:
        silent = replace(seen.private, heard=((),) * plan.traders)
        nobody = Messages.none(0)
        of_silence = true_count(plan, Observation(seen.public, silent), nobody)
        lines = [count_tokens(text) + LINE_TOKENS for text in said.text]
        expected = of_silence + sum(lines) * plan.traders - sum(lines) + plan.traders * count_tokens(HEADING)
        held.append((true_count(plan, seen, said), expected))
        return held[-1][0]

    monkeypatch.setattr(bench, "all_prompt_tokens", kept)
    counted()
    assert held
    assert all(found == expected for found, expected in held)


def test_the_meter_counts_the_tokens_of_a_request_as_the_engine_does() -> None:
    tokens = bench.tokens_of(Message("user", "honey will rise,\n34"))
    assert len(tokens) == count_tokens("honey will rise,\n34") + MESSAGE_OVERHEAD


def test_markets_of_one_seed_differ_by_what_is_heard_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "MARKET_ROUNDS", 12)
    all_heard, again = (pruning.behaviour(2, pruning.WAYS["everything"]) for _ in range(2))
    weighted, silent = (pruning.behaviour(2, pruning.WAYS[way]) for way in ("weighted", "silent"))
    assert all_heard == again
    assert all_heard.delivered == all_heard.addressed > weighted.delivered > silent.delivered == 0
    assert len({m.volume_lots for m in (all_heard, weighted, silent)}) > 1
    for market in (all_heard, weighted, silent):
        assert 0 < market.efficiency < 1
        assert 0 < market.gini < 1
        assert 0 < market.price_error < 2
