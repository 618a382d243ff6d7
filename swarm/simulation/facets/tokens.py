"""Keeps what calls of models cost, by round and model, and which minds other models answered for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from swarm.agents.minds import asking, guests_of, own_models
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Columns, Kept, Tables, known, total
from swarm.simulation.long_tables import columns
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.spending import spending


class Tokens:
    """The table `tokens`, a row for each model that was called in a round."""

    name = "tokens"

    def __init__(self) -> None:
        self._columns = Columns()
        self._answered: dict[str, Counter[str]] = {}
        self._own: tuple[RunPlan | None, Mapping[str, Sequence[str]]] = (None, {})

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of who counts tokens, of which models have a price, and of a turn's budget."""
        plans = plan.plans()
        self._models = {model.name: model for p in plans for model in p.models}
        self._several = {name for p in plans for name, mind in asking(p.shard).items() if mind.most.calls > 1}
        self._guests = {name for p in plans for name in guests_of(p.shard)}
        self._budget = plan.last.shard.budget.tokens_per_turn

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for each model."""
        spent = spending(outcome.gathered.turns, outcome.plan.models)
        self._columns.add(
            {
                "round": np.full(len(spent.models), outcome.round),
                "model": np.array(spent.models, dtype=np.str_),
                "turns": spent.turns,
                "calls": spent.calls,
                "prompt_tokens": spent.prompt_tokens,
                "completion_tokens": spent.completion_tokens,
                "cached_prompt_tokens": spent.cached_prompt_tokens,
                "shared_prompt_tokens": spent.shared_prompt_tokens,
                "usd": spent.usd,
            }
        )
        self._keep_other_answers(outcome)

    def tables(self) -> Kept:
        """Returns what models cost."""
        return {"tokens": self._columns.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the run's tokens, how many a turn had, and the dollars of each model that has a price."""
        tokens = tables["tokens"]
        decided = columns(tables, "decisions", "mind", "prompt_tokens", "completion_tokens")
        # A turn of several calls has a budget of its own and is not held against the one of a prompt.
        several, none = pl.col("mind").is_in(list(self._several)), pl.col("mind").is_in(list(self._guests))
        # A guest's turn has no tokens that anybody here could count.
        spent = _of_turns(decided.filter(~several & ~none) if len(decided) else decided)
        joint = _of_turns(decided.filter(several) if len(decided) else decided)
        told = {
            **{kind: total(tokens, f"{kind}_tokens") for kind in ("prompt", "completion")},
            **{kind: total(tokens, f"{kind}_tokens") for kind in ("cached_prompt", "shared_prompt")},
            "per_turn": {**_mean_and_max(spent), "budget": self._budget},
            **({"per_turn_of_several_calls": _mean_and_max(joint)} if len(joint) else {}),
            "counted_by": self._counted_by(),
            "usd": self._usd(tokens),
        }
        answered = {mind: dict(sorted(by.items())) for mind, by in sorted(self._answered.items())}
        return {"tokens": told, **({"answered_by": answered} if answered else {})}

    def _models_of(self, plan: RunPlan) -> Mapping[str, Sequence[str]]:
        """Returns the models that each mind asks by itself, looked up once for each plan."""
        if self._own[0] is not plan:
            self._own = plan, own_models(plan.shard)
        return self._own[1]

    def _usd(self, tokens: pl.DataFrame) -> dict[str, float]:
        """Returns what each model cost whose prices are known; what a failed request cost nobody knows."""
        usd: dict[str, float] = {}
        for name, model in self._models.items():
            # A price of 0 is no cost to tell of, as of rules and of weights that run here.
            if tokens.width and model.usd_per_million is not None and any(model.usd_per_million):
                usd[name] = round(float(tokens.filter(pl.col("model") == name)["usd"].sum()), 6)
        return usd

    def _counted_by(self) -> str:
        """Returns who counted the tokens: an engine that has a tokenizer and tells, else the project's estimate."""
        counters = {"engine" if model.counts_tokens else "estimate" for model in self._models.values()}
        return "mixed" if len(counters) > 1 else next(iter(counters), "none")

    def _keep_other_answers(self, outcome: RoundOutcome) -> None:
        """Counts the turns that ended with another model than the mind's own, as the governor may have it."""
        turns, own = outcome.gathered.turns, self._models_of(outcome.plan)
        # [minds, no model or a model] turns.
        shape = len(turns.minds), len(turns.models) + 1
        counts = np.bincount(turns.mind * shape[1] + turns.last_model + 1, minlength=shape[0] * shape[1]).reshape(shape)
        for mind, model in np.argwhere(counts[:, 1:]).tolist():
            name = turns.minds[mind]
            if turns.models[model] not in own[name]:
                self._answered.setdefault(name, Counter())[turns.models[model]] += int(counts[mind, model + 1])


def _of_turns(decided: pl.DataFrame) -> Any:
    """Returns [turns] tokens of all prompts and replies of a turn."""
    return known(decided, "prompt_tokens") + known(decided, "completion_tokens")


def _mean_and_max(spent: Any) -> dict[str, float]:
    return {"mean": float(spent.mean()) if len(spent) else 0.0, "max": int(spent.max()) if len(spent) else 0}


FACET = Tokens
