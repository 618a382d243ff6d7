"""The router delivers to contacts alone, within budget, the best first; what it drops is counted, and it learns."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.prompt import render
from swarm.config_file import resolve
from swarm.coordination.config import RouterConfig
from swarm.coordination.gossip import contact_graph
from swarm.coordination.messages import Messages, sent
from swarm.coordination.router import (
    LEAST_PERMILLE,
    LINE_TOKENS,
    MOST_PERMILLE,
    PRIOR_PERMILLE,
    Candidates,
    Delivery,
    Holdings,
    PruneReason,
    Ranker,
    Router,
    random,
    weighted,
)
from swarm.llm.tokens import count_tokens
from swarm.market.orders import BUY, SELL, Int64, Orders
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.simulation.plan import Fork, WorldPlan
from swarm.simulation.record import Recorder, RunRecord
from swarm.simulation.replay import replay
from tests.playing import Phased
from tests.refusals import refused

GOODS = ("acorns", "honey", "firewood")
ACORNS, HONEY, FIREWOOD = range(3)
ALL = RouterConfig(message_tokens=None, novelty_rounds=0)


def holdings(traders: int, need: Sequence[int] = (1, 1, 1), spare: Sequence[int] = (1, 1, 1)) -> Holdings:
    """All alike; who has nothing to buy or sell has one lot of what it needs."""
    rows = [np.tile(np.array(lots, dtype=np.int64), (traders, 1)) for lots in (need, spare, need)]
    return Holdings(np.full(traders, -1), *rows)


def said(round_: int, *lines: str, offers: Orders | None = None) -> Messages:
    """Trader 0 says the first line, and so on."""
    return sent(round_, np.arange(len(lines)), lines, GOODS, offers or Orders.empty())


def offer(trader: int, good: int, side: int, limit: int = 20, lots: int = 2) -> Orders:
    return Orders(*(np.array([v]) for v in (trader, 0, good, side, limit, lots, 0)))


def everybody(traders: int) -> Int64:
    """A graph in which everybody hears all others."""
    return np.array([[s for s in range(traders) if s != t] for t in range(traders)])


def router(
    graph: Int64, config: RouterConfig | None = ALL, ranker: Ranker | None = None, reads: Sequence[bool] = ()
) -> Router:
    return Router(5, graph, np.array(reads or [True] * len(graph)), config, ranker)


def route(to: Router, messages: Messages, prices: Sequence[int] = (20, 20, 20), **lots: Sequence[int]) -> Delivery:
    return to.read(to.route(messages, np.array(prices), holdings(len(to.graph), **lots)), None)


# Without a config


@pytest.mark.parametrize("seed", range(5))
def test_a_line_reaches_just_those_who_hear_its_speaker(seed: int) -> None:
    graph = contact_graph(seed, 12, 4)
    for speaker in range(12):
        lines = ["" if t != speaker else "the line" for t in range(12)]
        delivery = route(router(graph, None), said(1, *lines))
        reached = [t for t, heard in enumerate(delivery.heard) if heard]
        assert reached == [t for t in range(12) if speaker in graph[t]]
        assert set(delivery.heard) == {("the line",), ()}
        assert (delivery.said, delivery.addressed, delivery.delivered) == (1, 4, 4)


def test_without_a_config_all_lines_come_in_the_order_of_the_graph_however_often_they_are_said() -> None:
    unpruned = router(np.array([[2, 1], [0, 2], [1, 0]]), None)
    for round_ in (1, 2):
        assert route(unpruned, said(round_, "a", "b", "a")).heard == (("a", "b"), ("a", "a"), ("b", "a"))
    assert route(unpruned, said(3, "", "b", "")).heard == (("b",), (), ("b",))
    nobody = route(router(np.empty((2, 0), dtype=np.int64), None), said(1, "a", "b"))
    assert (nobody.heard, nobody.said, nobody.addressed) == (((), ()), 2, 0)


def test_who_reads_no_text_is_sent_none_and_that_is_counted() -> None:
    for config in (None, ALL):
        delivery = route(router(everybody(3), config, reads=(True, False, True)), said(1, "a", "b", "c"))
        assert [len(heard) for heard in delivery.heard] == [2, 0, 2]
        assert delivery.pruned == {PruneReason.NO_READER: 2}


# With one


def test_what_says_nothing_new_is_stale_until_it_is_forgotten() -> None:
    to = router(everybody(2), RouterConfig(message_tokens=None, novelty_rounds=2))
    fresh, again = route(to, said(1, "honey will rise")), route(to, said(2, "Honey WILL rise!"))
    assert fresh.heard == ((), ("honey will rise",))
    assert again.heard == ((), ())
    assert again.pruned == {PruneReason.STALE: 1}
    assert route(to, said(3, "honey will fall")).delivered == 1, "half of it is new"
    assert route(to, said(4, "honey will rise")).delivered == 1, "what was read in round 1 is forgotten"


def test_rounds_in_which_nothing_is_said_count_for_what_is_forgotten() -> None:
    to = router(everybody(2), RouterConfig(message_tokens=None, novelty_rounds=2))
    heard = [route(to, said(round_, line)).delivered for round_, line in enumerate(("honey", "", "", "honey"), 1)]
    assert heard == [1, 0, 0, 1]


def test_who_sleeps_has_not_read_what_was_laid_before_it_and_is_counted() -> None:
    to = router(everybody(3), RouterConfig(message_tokens=None, novelty_rounds=9))
    for round_, awake in ((1, [True, True, False]), (2, [True, True, True])):
        messages = said(round_, "honey will rise")
        delivery = to.read(to.route(messages, np.array([20, 20, 20]), holdings(3)), np.array(awake))
        assert delivery.receiver.tolist() == [round_]
        assert delivery.pruned == {(PruneReason.ASLEEP, PruneReason.STALE)[round_ - 1]: 1}


def test_what_was_pruned_has_not_been_read() -> None:
    to = router(everybody(3), RouterConfig(message_tokens=9, novelty_rounds=9))
    first = route(to, said(1, "", "honey will rise at last", "acorns will rise at last"))
    second = route(to, said(2, "", "honey will rise at last", "acorns will rise at last"))
    assert len(first.heard[0]) == len(second.heard[0]) == 1
    assert {*first.heard[0], *second.heard[0]} == {"honey will rise at last", "acorns will rise at last"}


def test_the_same_line_of_two_contacts_is_delivered_once() -> None:
    delivery = route(router(everybody(3)), said(1, "", "honey will rise", "honey will rise"))
    assert delivery.heard == (("honey will rise",),) * 3
    assert delivery.pruned == {PruneReason.DUPLICATE: 1}


def test_what_a_trader_neither_has_nor_wants_nor_makes_is_irrelevant() -> None:
    to = router(everybody(2))
    lines = said(1, "firewood will rise"), said(2, "honey will rise"), said(3, "whatever")
    counts = [route(to, m, need=(0, 0, 0), spare=(0, 1, 0)) for m in lines]
    assert [d.delivered for d in counts] == [0, 1, 1]
    assert counts[0].pruned == {PruneReason.IRRELEVANT: 1}
    makers = replace(holdings(2, (0, 0, 0), (0, 0, 0)), makes=np.array([-1, FIREWOOD]))
    assert router(everybody(2)).route(lines[0], np.array([20, 20, 20]), makers).delivered == 1


@pytest.mark.parametrize(
    ("side", "need", "spare", "heard"),
    [
        (BUY, (0, 0, 0), (0, 1, 0), 1),
        (BUY, (0, 0, 0), (0, 0, 0), 0),
        (SELL, (0, 1, 0), (0, 0, 0), 1),
        (SELL, (0, 0, 0), (0, 1, 0), 0),
    ],
)
def test_an_offer_reaches_those_who_could_take_it(
    side: int, need: Sequence[int], spare: Sequence[int], heard: int
) -> None:
    messages = said(1, offers=offer(0, HONEY, side))
    assert route(router(everybody(2)), messages, need=need, spare=spare).delivered == heard


def test_the_budget_is_kept_and_what_fits_behind_what_does_not_is_delivered() -> None:
    long, short = "honey " * 9, "firewood"
    by_length = lambda c: np.where([len(c.messages.text[m]) > 9 for m in c.message.tolist()], 900, 100)  # noqa: E731
    tokens = [count_tokens(line) + LINE_TOKENS for line in (long, short)]
    for budget, expected in ((sum(tokens), (long, short)), (sum(tokens) - 1, (long,)), (tokens[1], (short,)), (1, ())):
        to = router(everybody(3), RouterConfig(message_tokens=budget), by_length)
        delivery = route(to, said(1, "", long, short))
        assert delivery.heard[0] == expected
        assert delivery.pruned.get(PruneReason.OVER_BUDGET, 0) == delivery.addressed - delivery.delivered


def test_a_line_takes_in_a_prompt_what_the_router_counts_for_it() -> None:
    prompts = [render("s", "p", "o", ("a",) + ("honey will rise",) * n, 900) for n in (0, 1)]
    assert prompts[0]
    assert prompts[1]
    assert prompts[1].tokens - prompts[0].tokens == count_tokens("honey will rise") + LINE_TOKENS


# What it learns


def test_a_sender_whose_tips_come_true_is_heard_before_one_whose_tips_do_not() -> None:
    to = router(everybody(3))
    price = 20
    for round_ in range(1, 40):
        route(to, said(round_, "", "honey will rise", "honey will fall"), prices=(20, price, 20))
        price += 1
    assert to.reliability_permille.tolist()[0] == PRIOR_PERMILLE, "who says nothing is taken for neither"
    assert to.reliability_permille.tolist()[1] > 940
    assert to.reliability_permille.tolist()[2] == LEAST_PERMILLE
    heard = route(to, said(40, "", "acorns are dear now", "acorns are cheap now")).heard[0]
    assert heard == ("acorns are dear now", "acorns are cheap now")


def test_a_tip_is_held_against_the_move_after_it_was_heard_and_no_move_is_no_proof() -> None:
    for prices, expected in (((20, 21), 562), ((20, 19), 437), ((20, 20), 437), ((25, 25), 437)):
        to = router(everybody(2))
        route(to, said(1, "honey will rise"), prices=(20, prices[0], 20))
        assert to.reliability_permille[0] == PRIOR_PERMILLE, "nobody could have acted on it yet"
        route(to, said(2), prices=(20, prices[1], 20))
        assert to.reliability_permille[0] == expected
        route(to, said(3), prices=(20, 99, 20))
        assert to.reliability_permille[0] == expected, "a tip is held against one move"


@given(st.lists(st.tuples(st.sampled_from(["honey will rise", "honey will fall", "hm", ""]), st.integers(1, 40))))
def test_reliability_stays_between_its_bounds(course: list[tuple[str, int]]) -> None:
    to = router(everybody(2))
    for round_, (line, price) in enumerate(course, 1):
        route(to, said(round_, line), prices=(20, price, 20))
        assert LEAST_PERMILLE <= to.reliability_permille[0] <= MOST_PERMILLE
        assert to.reliability_permille[1] == PRIOR_PERMILLE


def test_worth_is_the_product_and_only_nothing_is_worth_nothing() -> None:
    table = np.array([[1_000, 500, 800], [50, 250, 1], [500, 0, 1_000]])
    three = np.arange(3)
    found = weighted(Candidates(said(1, "a", "b", "c"), three, three, table[:, 0], table[:, 1], table[:, 2]))
    assert found.tolist() == [400, 1, 0]


def test_another_ranker_takes_the_place_of_the_one_built_in() -> None:
    lines = ("", "honey will rise", "acorns and more", "firewood is dry")

    def by_text(candidates: Candidates) -> Int64:
        return np.array([300 * ("and" in candidates.messages.text[m]) for m in candidates.message.tolist()])

    delivery = route(router(everybody(4), ranker=by_text), said(1, *lines))
    assert delivery.heard[0] == ("acorns and more",)
    assert delivery.pruned == {PruneReason.IRRELEVANT: delivery.addressed - delivery.delivered}
    with pytest.raises(ValueError, match="9 messages"):
        route(router(everybody(4), ranker=lambda c: np.ones(1, dtype=np.int64)), said(1, *lines))


def test_at_random_the_order_is_the_seed_s_and_changes_from_round_to_round() -> None:
    lines = [f"line {t} of many" for t in range(8)]
    orders = [route(router(everybody(8), ranker=random), said(round_, *lines)).heard[0] for round_ in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == lines[1:]


# Whatever is said

GRAPH = contact_graph(3, 9, 4)
lines_of_a_round = st.lists(
    st.sampled_from(["", "honey will rise", "honey will fall", "acorns are short", "hm", "x" * 80, "no " * 20]),
    min_size=9,
    max_size=9,
)
offers_of_a_round = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 2), st.sampled_from([BUY, SELL]), st.integers(1, 40)),
    unique_by=lambda row: row[0],
    max_size=9,
)


@given(
    st.lists(st.tuples(lines_of_a_round, offers_of_a_round), min_size=1, max_size=5),
    st.sampled_from([None, *range(1, 60, 7)]),
    st.integers(0, 3),
    st.sampled_from([weighted, random]),
    st.lists(st.booleans(), min_size=9, max_size=9),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_every_message_is_delivered_to_a_contact_within_its_budget_or_counted_by_its_reason(
    rounds: list[tuple[list[str], list[tuple[int, int, int, int]]]],
    budget: int | None,
    novelty_rounds: int,
    ranker: Ranker,
    reads: list[bool],
    sleepers: bool,
    seed: int,
) -> None:
    config = RouterConfig(message_tokens=budget, novelty_rounds=novelty_rounds)
    to, twin = (router(GRAPH, config, ranker, reads) for _ in range(2))
    rng = np.random.default_rng(seed)
    for round_, (lines, rows) in enumerate(rounds, 1):
        made = Orders.concatenate([Orders.empty(), *(offer(*row) for row in rows)])
        messages = sent(round_, np.arange(9), lines, GOODS, made)
        lots = [rng.integers(0, 2, (9, 3)) for _ in range(3)]
        prices, holds = rng.integers(10, 30, 3), Holdings(rng.integers(-1, 3, 9), *lots)
        asked = rng.random(9) < 0.8 if sleepers else None
        delivery, again = (r.read(r.route(messages, prices, holds), asked) for r in (to, twin))
        assert (delivery.heard, delivery.pruned) == (again.heard, again.pruned)
        assert delivery.addressed == 4 * delivery.said == 4 * (sum(map(bool, lines)) + len(rows))
        assert delivery.addressed == delivery.delivered + sum(delivery.pruned.values())
        asleep = [asked is not None and not asked[trader] for trader in range(9)]
        read = [() if sleeps else heard for sleeps, heard in zip(asleep, delivery.heard, strict=True)]
        assert delivery.receiver.tolist() == [trader for trader, heard in enumerate(read) for _ in heard]
        assert delivery.tokens.tolist() == [count_tokens(line) + LINE_TOKENS for line in chain(*read)]
        assert delivery.pruned.get(PruneReason.ASLEEP, 0) == sum(map(len, delivery.heard)) - sum(map(len, read))
        for trader, heard in enumerate(delivery.heard):
            told = {text for s, text in zip(messages.sender.tolist(), messages.text, strict=True) if s in GRAPH[trader]}
            assert set(heard) <= told
            assert len(set(heard)) == len(heard)
            assert not heard or reads[trader]
            assert budget is None or sum(count_tokens(line) + LINE_TOKENS for line in heard) <= budget


# In a run

CONFIG: dict[str, Any] = {
    "seed": 3,
    "rounds": 8,
    "population": 30,
    "models": [{"name": "m", "temperament": "momentum"}, {"name": "p", "temperament": "panic", "form": "menu"}],
    "traders": {"minds": {"m": 3, "p": 2, "zi_c": 1}, "hears": 8, "router": {"message_tokens": 30}},
}


def run(folder: Path | None = None, **changes: Any) -> RunRecord:
    return play(resolve({**CONFIG, **changes}), journals_in=folder).record


def test_a_routed_run_replays_and_its_counts_add_up_in_tables_and_summary(tmp_path: Path) -> None:
    journal = tmp_path / "journal.swarm"
    record = run(tmp_path, traders={**CONFIG["traders"], "standing": {"max_rounds": 3}})
    result = replay(journal, composed)
    assert result.holds, result.mismatch
    again = Recorder()
    closing = replay(journal, composed, (again,)).closing
    assert again.finish(closing, {}).summary["messages"] == record.summary["messages"]
    rounds, messages, pruned = record.tables["rounds"], record.summary["messages"], record.summary["pruned_messages"]
    assert messages["contacts"] == 8
    for name in ("said", "addressed", "delivered"):
        assert rounds[f"messages_{name}"].sum() == messages[name] > 0
    assert rounds["message_tokens"].sum() == messages["tokens"]
    for reason in PruneReason:
        assert rounds[f"messages_{reason}"].sum() == pruned.get(reason, 0)
    assert messages["addressed"] == messages["delivered"] + sum(pruned.get(reason, 0) for reason in PruneReason)
    # Quarantine and the pruning of echoes are asked for by a key each, which this config does not have.
    assert {reason for reason in PruneReason if pruned.get(reason)} == set(PruneReason) - {
        PruneReason.QUARANTINED,
        PruneReason.ECHO,
    }


def test_pruning_changes_what_is_heard_and_so_the_history() -> None:
    pruned, unpruned = run(), run(traders={**CONFIG["traders"], "router": None})
    assert unpruned.summary["messages"]["delivered"] > pruned.summary["messages"]["delivered"] > 0
    assert unpruned.summary["journal_sha256"] != pruned.summary["journal_sha256"]
    assert unpruned.summary["trades"] != pruned.summary["trades"], "there are minds that act on what they hear"
    assert unpruned.summary["pruned_messages"].keys() == {"no_reader", "prompt_full", "cut_to_length"}


def test_a_router_goes_on_after_a_fork_with_what_was_learned() -> None:
    to = router(everybody(2), RouterConfig(message_tokens=None, novelty_rounds=5))
    route(to, said(1, "honey will rise"), prices=(20, 20, 20))
    later = router(everybody(2), RouterConfig(novelty_rounds=3))
    later.succeed(to)
    assert route(later, said(2, "honey will rise"), prices=(20, 25, 20)).pruned == {PruneReason.STALE: 1}
    assert later.reliability_permille[0] == 562
    plan = compose(resolve(CONFIG)).run
    future = compose(resolve({**CONFIG, "rounds": 6, "traders": {"minds": {"m": 1}, "router": {"offers": False}}})).run
    plan = replace(plan, fork=Fork(3, "0" * 64, (), future))
    played = play(resolve(CONFIG), plan=WorldPlan.of(plan), traders=lambda plan, _: Phased(plan))
    assert played.summary["messages"]["delivered"] > 0


@pytest.mark.parametrize(
    ("changes", "key", "word"),
    [
        ({"population": 6, "traders": {"hears": 6}}, "traders.hears", "5"),
        ({"traders": {"hears": 51}}, "traders.hears", "50"),
        ({"traders": {"router": {"ranker": "best"}}}, "traders.router.ranker", "weighted"),
        ({"traders": {"router": {"message_tokens": 0}}}, "traders.router.message_tokens", "1"),
        ({"traders": {"router": {"novelty": 1}}}, "traders.router.novelty", "novelty_rounds"),
    ],
)
def test_a_router_that_cannot_be_is_refused_in_one_line(changes: dict[str, Any], key: str, word: str) -> None:
    with refused(key, word):
        resolve({**CONFIG, **changes})


def test_the_default_of_contacts_fits_any_population() -> None:
    for population, contacts in ((2, 1), (3, 2), (4, 3), (40, 3)):
        config = resolve({**CONFIG, "population": population, "traders": {}})
        assert config.traders.contacts(population) == contacts
