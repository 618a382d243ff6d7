"""What a run of an experiment came to, as one number for each measure, from its record alone."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from swarm.report.wording import errors_of_decisions
from swarm.simulation.measures import MEANINGS as QUALITY
from swarm.simulation.record import RunRecord

MEANINGS = {
    **QUALITY,
    "trades": "Trades of the whole run.",
    "decision_errors": "Turns that were spoilt by a bad reply; their traders passed.",
    "late_turns": "Turns that came too late for their round.",
    "turns_asked": "Turns for which a model was asked.",
    "tokens": "Tokens of all prompts and completions.",
    "tokens_per_turn": "Tokens of a turn, on average.",
    "usd": "What the calls cost by the models' prices.",
}
"""What each measure says, in one sentence; those of a scenario's own columns are means over traders and rounds."""

NO_MEASURES = ("round", "trader", "kind", "mind", "cash_cents", "wealth_cents")


def outcomes(record: RunRecord) -> dict[str, float | None]:
    """Returns each measure of a run; None for what cannot be told."""
    summary = record.summary
    tokens = summary["tokens"]
    found: dict[str, Any] = {name: value["market"] for name, value in summary["quality"].items()}
    found |= {
        "trades": summary["trades"],
        "decision_errors": sum(errors_of_decisions(summary).values()),
        "late_turns": summary["late_turns"],
        "turns_asked": summary["staffing"]["asked"],
        "tokens": tokens["prompt"] + tokens["completion"],
        "tokens_per_turn": tokens["per_turn"]["mean"],
        "usd": summary["budget"]["spent_usd"],
    }
    found |= _of_traders(record.scan("traders"))
    return {name: None if value is None else float(value) for name, value in found.items()}


def _of_traders(table: pl.LazyFrame) -> Mapping[str, float | None]:
    """Returns the mean over traders and rounds of each column that a scenario keeps of them, mood say."""
    # What a trader holds is no outcome of its own: wealth is kept by the market, and conserved.
    names = [
        name
        for name, kind in table.collect_schema().items()
        if name not in NO_MEASURES and not name.endswith("_lots") and kind.is_numeric()
    ]
    # Round 0 is the opening, at which nobody has done anything.
    played = table.filter(pl.col("round") > 0) if names else table
    means = played.select(pl.col(name).cast(pl.Float64).mean() for name in names).collect()
    return {f"mean_{name}": means[name].item() for name in names}
