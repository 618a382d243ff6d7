"""Sums what calls of models came to, in tokens and dollars, once for table, summary, metric and bill.

A call is billed at the model that was called, at the prices of the plan that held in its round. It knows no rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.agents.turns import Calls, Turns
from swarm.llm.entry import ModelEntry
from swarm.market.orders import Int64

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Spending:
    """The sums by model, in the order of `models`; `usd` is NaN where the config gives no price."""

    models: tuple[str, ...]
    turns: Int64
    calls: Int64
    prompt_tokens: Int64
    completion_tokens: Int64
    cached_prompt_tokens: Int64
    shared_prompt_tokens: Int64
    usd: Float64


def spending(turns: Turns, models: Sequence[ModelEntry]) -> Spending:
    """Returns what a round's turns came to by model; a turn counts for each model that was called in it."""
    calls, size = turns.calls, len(turns.models)

    def summed(column: Int64) -> Int64:
        # Sums of floating-point numbers are exact up to 2^53 tokens a round.
        return np.bincount(calls.model, weights=column, minlength=size).astype(np.int64)

    # Each pair of a model and a turn as one number, which sorts ten times as fast as two.
    pairs = np.unique(calls.model * len(turns) + calls.turn)
    return Spending(
        models=turns.models,
        turns=np.bincount(pairs // max(len(turns), 1), minlength=size),
        calls=np.bincount(calls.model, minlength=size),
        prompt_tokens=summed(calls.prompt_tokens),
        completion_tokens=summed(calls.completion_tokens),
        cached_prompt_tokens=summed(calls.cached_prompt_tokens),
        shared_prompt_tokens=summed(calls.shared_prompt_tokens),
        usd=_usd(turns.models, summed(calls.prompt_tokens), summed(calls.completion_tokens), models),
    )


def usd_of_calls(calls: Calls, names: Sequence[str], models: Sequence[ModelEntry]) -> Float64:
    """Returns [calls] dollars; NaN where the price of the model that was called is unknown."""
    price = prices(names, models)[calls.model]
    usd: Float64 = (np.stack([calls.prompt_tokens, calls.completion_tokens], axis=1) * price).sum(axis=1)
    return usd


def prices(names: Sequence[str], models: Sequence[ModelEntry]) -> Float64:
    """Returns [names, prompt or completion] dollars a token; NaN where the config gives no price."""
    known = {model.name: model.usd_per_million for model in models}
    rows = [known.get(name) or (np.nan, np.nan) for name in names]
    return np.array(rows, dtype=np.float64).reshape(-1, 2) / 1e6


def _usd(names: Sequence[str], prompt: Int64, completion: Int64, models: Sequence[ModelEntry]) -> Float64:
    usd: Float64 = (np.stack([prompt, completion], axis=1) * prices(names, models)).sum(axis=1)
    return usd
