"""Strategy auctions: scores, fitting, gates and memory, and the family of tasks that shows where they pay."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.bench.kept_replies import KeptReplies
from swarm.bench.lettered import FAMILIES, Lettered, surplus
from swarm.bench.routers import Split, auction
from swarm.bench.strategy import routers_of
from swarm.bench.strategy_models import Tier, configured, family, served, tiers_of
from swarm.config_file import resolve
from swarm.coordination.auction_memory import AuctionMemory, Remembered, pairs, vector
from swarm.coordination.strategy_auction import (
    after_refining,
    auc,
    fit_min_max,
    gates,
    refining,
    scaled,
    scores,
    winners,
)
from swarm.errors import ConfigError, OutputError
from swarm.llm import engines
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.llm.scores import scored

Make = Callable[[np.random.Generator, int], Lettered]
PRICE = np.array([0.05, 0.09, 0.16, 0.36])


def test_the_lowest_cost_less_value_wins_and_the_absent_never_do() -> None:
    parts = np.array([[[0.1, 0.2, 0.2], [0.9, 0.9, 0.9], [np.nan, 1.0, 1.0]]])
    total = scores(parts, np.array([0.2, 0.4, 0.4]))
    assert total[0].tolist() == pytest.approx([0.02 - 0.16, 0.18 - 0.72, np.inf])
    assert winners(total).tolist() == [1]


def test_a_judge_that_did_not_answer_leaves_its_weight_to_the_others() -> None:
    judged = scores(np.array([[[0.5, 0.6, 0.6]]]), np.array([0.2, 0.4, 0.4]))
    silent = scores(np.array([[[0.5, 0.6, np.nan]]]), np.array([0.2, 0.4, 0.4]))
    assert silent == pytest.approx(judged)


def test_only_cheaper_ones_refine_and_a_refined_bid_must_beat_the_first_winner() -> None:
    assert refining(PRICE, np.array([2, 0])).tolist() == [[True, True, False, False], [False] * 4]
    first = np.array([[0.3, 0.2, 0.1], [0.3, 0.2, 0.1]])
    refined = np.array([[0.05, np.nan, np.nan], [0.15, np.nan, np.nan]])
    winner, beaten = after_refining(first, refined)
    assert (winner.tolist(), beaten.tolist()) == ([0, 2], [True, False])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(2, 4), st.integers(2, 3))
def test_the_fitted_weights_are_the_best_of_a_grid(seed: int, tasks: int, candidates: int, width: int) -> None:
    parts = np.random.default_rng(seed).random((tasks, candidates, width))
    weights = fit_min_max(parts)
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1)
    worst = scores(parts, weights).min(axis=1).max()
    for first in np.linspace(0, 1, 21):
        for second in [1 - first] if width == 2 else np.linspace(0, 1 - first, 11):
            other = np.array([first, second, 1 - first - second][:width])
            assert worst <= scores(parts, other).min(axis=1).max() + 1e-6


def test_parts_are_scaled_by_the_training_tasks_alone() -> None:
    training = np.array([[[0.0, 10.0], [2.0, 10.0]]])
    assert scaled(np.array([[[3.0, 11.0], [-1.0, 10.0]]]), training).tolist() == [[[1.0, 1.0], [0.0, 0.0]]]


def test_a_part_that_no_training_task_has_is_taken_as_it_is() -> None:
    training = np.array([[[0.0, np.nan], [2.0, np.nan]]])
    assert scaled(np.array([[[1.0, 0.5]]]), training).tolist() == [[[0.5, 0.5]]]


def test_auc_counts_ties_by_halves() -> None:
    assert auc(np.array([True, False, True, False]), np.array([2.0, 1.0, 1.0, 0.0])) == pytest.approx(0.875)
    assert np.isnan(auc(np.array([True, True]), np.array([1.0, 2.0])))


def test_gates_say_which_of_them_is_shut() -> None:
    random = np.random.default_rng(0)
    right = random.random((400, 4)) < np.array([0.2, 0.3, 0.4, 0.5])
    told = right + random.random((400, 4)) * 0.5
    bins = np.zeros(400, dtype=np.int64)
    assert gates(right, told, bins, PRICE).open
    assert "AUC" in gates(right, random.random((400, 4)), bins, PRICE).sentence
    nested = np.logical_or.accumulate(right, axis=1)
    shut = gates(nested, told, bins, PRICE)
    assert not shut.open and "No auction can pay here" in shut.sentence and shut.gap == 0


def test_the_memory_finds_what_is_alike_and_stays_bounded() -> None:
    memory = AuctionMemory(seed=7, capacity=50)
    for number in range(300):
        memory.add(Remembered(f"task {number} of {'acorns' if number % 2 else 'firewood'}", ("a", "b"), number % 2, 5))
    assert (memory.seen, len(memory.kept)) == (300, 50)
    # A reservoir keeps what came early and late alike.
    numbers = [int(auction.task.split()[1]) for auction in memory.kept]
    assert min(numbers) < 100 and max(numbers) >= 200
    assert all("acorns" in auction.task for auction in memory.nearest("who trades acorns", 4))
    assert vector("") @ vector("anything") == 0


def test_who_learns_sees_only_auctions_in_which_it_bid_on_one_side() -> None:
    past = [Remembered("t", ("short", "long", "dear"), 1, 10)]
    assert pairs(0, past) == [("short", "long")]
    assert pairs(1, past) == [("short", "long"), ("dear", "long")]


@pytest.mark.parametrize("make", FAMILIES.values(), ids=list(FAMILIES))
@pytest.mark.parametrize("difficulty", range(5))
def test_a_lettered_task_has_an_answer_and_embedded_models_can_read_it(make: Make, difficulty: int) -> None:
    task = make(np.random.default_rng(3), difficulty)
    assert any(task.right) and len(task.right) == len(task.lines) <= 16
    tiny = served("http://127.0.0.1:9/v1", ["m"])[0]
    (reply,) = asyncio.run(engines.in_process(tiny).complete([task.request(1, "ABC")], 60.0))
    assert reply.finish_reason == "stop" and reply.text[0] in "ABC"


def test_a_ledgers_answer_is_its_balance() -> None:
    task = FAMILIES["ledger"](np.random.default_rng(5), 2)
    purse = int(task.asked.split("purse ")[1].split(",")[0])
    for line in task.asked.split("\n")[1:]:
        _, way, amount = line.split()
        purse += int(amount) if way == "in" else -int(amount)
    assert [line.split()[-1] for line, right in zip(task.lines, task.right, strict=True) if right] == [str(purse)]


def test_a_plan_buys_no_more_than_its_units_and_never_above_its_worth() -> None:
    bids, asks = np.full((4, 6), 20), np.full((4, 6), 30)
    assert surplus(60, (0, 0), bids, asks) == 0
    assert surplus(60, (25, 0), bids, asks) == 0
    assert surplus(60, (30, 0), bids, asks) == 3 * 30
    assert surplus(60, (26, 2), bids, asks) == 3 * 30


def test_models_as_tiers_are_held_against_every_baseline() -> None:
    models = [m for m in configured(None) if m.name in ("tiny-value", "rule-value")]
    tiers = tiers_of(models, KeptReplies(Silent()))
    assert [tier.name for tier in tiers] == ["tiny-value", "rule-value"]
    tasks = asyncio.run(family("plan", tiers, 0, 2))
    assert tasks.right.shape == tasks.bid.shape == (10, 2)
    names = list(routers_of(tasks))
    assert names[:2] == ["dearest", "cheapest"]
    assert {"auction", *(f"auction_no_{part}" for part in ("price", "bids", "entropy", "jury", "memory"))} <= {*names}
    order = np.arange(10)
    split = Split(tasks, np.array([0.05, 0.36]), order, order, np.random.default_rng(0))
    routed = auction(split)
    assert 0 <= routed.passed <= 1 and routed.usd > split.overhead


@pytest.mark.parametrize(("models", "word"), [(1, "two"), (2, "price")])
def test_tiers_that_cannot_bid_are_refused_in_a_line(models: int, word: str) -> None:
    named = [{"name": f"m-{i}", "temperament": "value", "form": "menu"} for i in range(models)]
    with pytest.raises(ConfigError, match=r"models.*" + word):
        tiers_of(resolve({"models": named}).models, KeptReplies(Silent()))


class Silent:
    def phase(self, text: str) -> None:
        pass


class Counting:
    """Answers with the seed that it was asked by, and counts; every seventh seed fails."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        seeds = [one.seed for request in requests for one in request.singly()]
        self.asked += seeds
        return [
            ModelReply(f"{seed}", TokenUsage(1, 1), "stop" if seed % 7 else "deadline", 0.1, margin=None)
            for seed in seeds
        ]


def test_replies_are_asked_for_once_kept_in_a_file_and_lost_ones_counted(tmp_path: Path) -> None:
    model, task, file = configured(None)[0], FAMILIES["plan"](np.random.default_rng(3), 0), tmp_path / "replies.jsonl"
    questions = [task.request(1, "AB", 3), task.request(5, "ABC", 4), task.request(1, "AB", 4)]
    first, kept = Counting(), KeptReplies.at(file, Silent())
    replies = asyncio.run(kept.of(model, first).complete(questions, 60.0))
    assert [reply.text for reply in replies] == ["1", "2", "3", "5", "6", "7", "8", "1", "2", "3", "4"]
    assert (sorted(first.asked), dict(kept.lost)) == ([1, 2, 3, 4, 5, 6, 7, 8], {"tiny-panic deadline": 1})
    # A process that was killed while it wrote leaves part of a line.
    with file.open("a") as torn:
        torn.write('\n["abc", "un')
    again, kept = Counting(), KeptReplies.at(file, Silent())
    asyncio.run(kept.of(model, again).complete(questions, 60.0))
    assert (again.asked, kept.read) == ([7], 7)
    asyncio.run(kept.of(configured(None)[1], other := Counting()).complete(questions[:1], 60.0))
    assert other.asked == [1, 2, 3]


class Scoring:
    """Scores a line by its last sign but one, and counts the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.lines += [line for request in requests for line in request.branches]
        texts = [json.dumps([float(int(line[-2])) for line in request.branches]) for request in requests]
        return [ModelReply(text, TokenUsage(1, 0), "stop", 0.1) for text in texts]


def test_a_line_is_scored_once_and_every_draft_and_vote_drawn_from_its_scores() -> None:
    task, scoring, kept = FAMILIES["plan"](np.random.default_rng(3), 0), Scoring(), KeptReplies(Silent())
    client = kept.of(configured(None)[0], scoring)
    drafts = asyncio.run(client.complete([task.judging(1, task.letters, 9)], 60.0))
    (vote,) = asyncio.run(client.complete([task.judging(500, "CA")], 60.0))
    assert sorted(scoring.lines) == sorted(task.offers) and len(drafts) == 9 and kept.asked == 1
    values = [float(int(line[-2])) for line in task.offers]
    assert vote.text == scored([values[2], values[0]], 1.0, 500).to_text(True)
    assert {reply.text for reply in drafts} == {scored(values, 1.0, seed).to_text(True) for seed in range(1, 10)}


def test_a_file_for_replies_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"--replies .*cannot"):
        KeptReplies.at(tmp_path / "no" / "file", Silent())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tier_that_judges_is_asked_line_by_line(name: str) -> None:
    task = FAMILIES[name](np.random.default_rng(3), 1)
    tier = Tier("judge", KeptReplies(Silent()).of(configured(None)[0], Counting()), 0.36, judges=True)
    asked = tier.request(task, 9, "BDA", 2)
    assert [asked.branches[i] for i in (0, 2)] == [task.offers[1], task.offers[0]] and asked.more_seeds == (10,)
    assert len(set(task.offers)) == len(task.lines) and not asked.schema
    assert tier.chosen('{"taken":1,"scores":[0.5,-1,2.0]}', "BDA") == "D"
    assert tier.chosen("[0.5,-1,2.0]", "BDA") == "A" and tier.chosen("no scores", "BDA") == ""
