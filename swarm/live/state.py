"""Makes what the page shows of a round: a few kilobytes of plain values, however many traders there are."""

import json
from typing import Any

import numpy as np

from swarm.coordination.messages import OFFER
from swarm.live.crowd import Crowd, evenly
from swarm.market.ledger import ROAD
from swarm.market.quality import gini
from swarm.scenarios.protocol import told_by
from swarm.simulation.acts_told import by_party
from swarm.simulation.facets.traders import wealth_cents
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.party import Say

MAX_STATE_BYTES = 5_000
MOST_TAPE, MOST_SAID, MOST_ACTS, MOST_NEWS = 12, 6, 16, 4
MAX_LINE_CHARS, MAX_SAID_CHARS = 180, 120
CENTS = 100
ASKS = "asks: "
"""What the line of a question begins with."""

_TRIMMED = ("said", "acts", "acts_before", "answers", "tape", "flows", "news")
"""Lists of which the later half is left out where a state is too long, in turn."""


def market_state(outcome: RoundOutcome, crowd: Crowd) -> dict[str, Any]:
    """Returns what a settled round shows of the market and its creatures."""
    cleared, goods = outcome.cleared, outcome.plan.scenario.goods
    there = outcome.plan.there(outcome.round)
    news = outcome.basis.seen.public.news if outcome.basis else _news_of(outcome)
    return {
        "round": outcome.round,
        "season": outcome.season,
        "figures": list(map(list, told_by(outcome.plan.scenario).items())),
        "news": [_short(line, MAX_LINE_CHARS) for line in news[:MOST_NEWS]],
        "price": outcome.state.reference_ticks.tolist(),
        "before": outcome.reference_before_ticks.tolist(),
        "volume": cleared.volume_lots.tolist(),
        "unmet": [cleared.unfilled_buy_lots.tolist(), cleared.unfilled_sell_lots.tolist()],
        "trades": len(cleared.trades.good),
        "traders": int(np.count_nonzero(there)),
        "tape": _tape(outcome),
        "flows": crowd.flows(cleared.trades, len(goods)),
        "said": _said(outcome, crowd),
        **owned(outcome, crowd),
    }


def owned(outcome: RoundOutcome, crowd: Crowd) -> dict[str, Any]:
    """Returns what traders have and how they feel: a few quantiles, and a mean for each figure."""
    there = outcome.plan.there(outcome.round)
    # [traders] pebbles, in whole numbers.
    pebbles = wealth_cents(outcome.plan, outcome.state) // CENTS
    mine = pebbles[there]
    found: dict[str, Any] = {
        "wealth": np.quantile(mine, (0.1, 0.5, 0.9)).astype(np.int64).tolist() if len(mine) else [0, 0, 0],
        "gini": round(gini(mine), 4) if len(mine) else 0.0,
        "purses": crowd.mean(pebbles, there),
    }
    mood = outcome.trader_columns.get("mood_permille")
    if mood is not None and len(mine):
        found |= {"mood": int(mood[there].mean()), "moods": [m // 10 for m in crowd.mean(mood, there)]}
    return found


def acts(outcome: RoundOutcome) -> list[list[str]]:
    """Returns what parties did after the round, the road aside: who, what, and why it was refused or nothing."""
    told = [[who, _short(what, MAX_LINE_CHARS), _short(why, 80)] for who, what, why in by_party(outcome)]
    own = [one for one in told if one[0] != ROAD]
    # What is left out is counted; the report has all of it.
    left = len(own) - MOST_ACTS
    before = [["", f"{left} acts before these", ""]] if left > 0 else []
    return [*before, *own[-MOST_ACTS:]]


def questions(outcome: RoundOutcome) -> list[tuple[str, int, int, str]]:
    """Returns what was asked after a round: by whom, in which market, of which seat, and the question."""
    return [
        (acted.party, market, int(np.asarray(act.to)[0]), act.text.removeprefix(ASKS))
        for market, own in enumerate(outcome.of or (outcome,))
        for acted in own.acted
        for index, act in enumerate(acted.acts)
        if isinstance(act, Say) and act.text.startswith(ASKS) and index not in dict(acted.refused)
    ]


def answers(outcome: RoundOutcome, asked: list[tuple[str, int, int, str]]) -> list[list[Any]]:
    """Returns what came of questions in the round after: who asked, the seat, the question, and the line, if any.

    A line of None says that no model of this trader was asked, so nobody has read the question.
    """
    found: list[list[Any]] = []
    for who, market, seat, question in asked:
        own = (outcome.of or (outcome,))[market]
        # At most one turn: whoever was not asked has none.
        rows = np.flatnonzero(own.gathered.turns.trader == seat).tolist()
        line = _short(own.gathered.decisions.gossip[rows[0]], MAX_SAID_CHARS) if rows else None
        found.append([who, seat, _short(question, MAX_SAID_CHARS), line])
    return found[:MOST_ACTS]


def packed(state: dict[str, Any]) -> bytes:
    """Returns a state as JSON of at most MAX_STATE_BYTES, with lists cut short where it would be longer."""
    written = _json(state)
    while len(written) > MAX_STATE_BYTES and (longest := _longest(state)):
        state = {**state, longest: state[longest][: len(state[longest]) // 2], "cut": True}
        written = _json(state)
    return written


def _longest(state: dict[str, Any]) -> str:
    """Returns which of the lists that may be cut takes the most room; empty where none has anything left."""
    sizes = {name: len(_json(state[name])) for name in _TRIMMED if state.get(name)}
    return max(sizes, key=lambda name: sizes[name]) if sizes else ""


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def _tape(outcome: RoundOutcome) -> list[list[int]]:
    """Returns some of the round's trades, spread over it: buyer, seller, good, lots, price."""
    trades = outcome.cleared.trades
    rows = list(evenly(len(trades.good), MOST_TAPE))
    columns = (trades.buyer, trades.seller, trades.good, trades.quantity_lots, trades.price_ticks)
    return np.stack([column[rows] for column in columns], axis=1).tolist() if rows else []


def _said(outcome: RoundOutcome, crowd: Crowd) -> list[list[Any]]:
    """Returns some of the lines that traders said: who said it, the line, and the figure that the trader is in."""
    said = outcome.said
    # Offers are made of orders, and nobody has said them.
    spoken = np.flatnonzero(said.kind != OFFER).tolist()
    rows = [spoken[i] for i in evenly(len(spoken), MOST_SAID)]
    senders = [int(said.sender[row]) for row in rows]
    lines = [_short(said.text[row], MAX_SAID_CHARS) for row in rows]
    return [[who, line, int(crowd.figure_of[who])] for who, line in zip(senders, lines, strict=True)]


def _news_of(outcome: RoundOutcome) -> tuple[str, ...]:
    """Returns the news of all markets of a round, each line once."""
    lines = [line for own in outcome.of if own.basis for line in own.basis.seen.public.news]
    return tuple(dict.fromkeys(lines))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
