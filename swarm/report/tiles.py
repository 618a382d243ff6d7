"""Makes the key figures at the top of a report from its summary; it knows no tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from swarm.report.wording import broken_assets, count, errors_of_decisions, late_turns, plain, seconds, turns_taken

Summary = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure; `share` fills a meter, from 0 to 1."""

    label: str
    value: str
    note: str = ""
    state: Literal["", "good", "bad"] = ""
    share: float | None = None


def tiles(summary: Summary) -> list[Tile]:
    """Returns the key figures."""
    rounds = summary["rounds"]
    pace, wealth = summary["seconds_per_round"], summary["wealth"]
    # Errors and late turns are counted apart: the first are a model's, the second mostly the machine's.
    errors = sum(errors_of_decisions(summary).values())
    broken = broken_assets(summary)
    late = late_turns(summary)
    return [
        *_trade_tiles(summary),
        _token_tile(summary),
        _time_tile(rounds, pace),
        Tile("Decision errors", count(errors), _error_note(summary), "bad" if errors else "good"),
        Tile(
            "Late turns",
            count(late),
            "all answers in time" if not late else "passed the round",
            "bad" if late else "good",
        ),
        *_budget_tiles(summary),
        Tile("Gini of wealth", f"{wealth['gini_start']:.2f} → {wealth['gini_end']:.2f}", "start → end; 0 is equal"),
        Tile("Conservation", "broken", f"unexplained: {', '.join(broken)}", "bad")
        if broken
        else Tile("Conservation", "OK", f"all {len(summary['conservation'])} assets add up", "good"),
    ]


def _time_tile(rounds: int, pace: Mapping[str, float | None]) -> Tile:
    if not rounds:
        return Tile("Time per round", "none", "no round was finished")
    if pace["p50"] is None:
        return Tile("Time per round", "not known", "taken from a journal, which has no clock")
    return Tile("Time per round", seconds(pace["p50"]), f"median; p95 {seconds(pace['p95'])}")


def _token_tile(summary: Summary) -> Tile:
    turn = summary["tokens"]["per_turn"]
    if not turns_taken(summary):
        return Tile("Tokens per turn", "none", "nobody was prompted")
    # Without a turn of one call, the turns of several calls are all that there is to show.
    if not turn["max"]:
        several = summary["tokens"].get("per_turn_of_several_calls", {"mean": 0, "max": 0})
        return Tile("Tokens per turn", count(several["mean"]), f"mean, of several calls; most {count(several['max'])}")
    about = ", estimated" if summary["tokens"].get("counted_by") == "estimate" else ""
    note = f"mean; most {count(turn['max'])}, budget {count(turn['budget'])}{about}"
    over = turn["max"] > turn["budget"]
    return Tile(
        "Tokens per turn", count(turn["mean"]), note, "bad" if over else "", min(1.0, turn["mean"] / turn["budget"])
    )


def _budget_tiles(summary: Summary) -> list[Tile]:
    """Returns what was spent against each limit of the run."""
    budget, tiles = summary.get("budget", {}), []
    for key, spent, shown in (
        ("run_tokens", "spent_tokens", count),
        ("run_usd", "spent_usd", lambda usd: f"${usd:,.2f}"),
    ):
        if limit := budget.get(key):
            # The meter ends at its limit; how far that was passed is said in the note.
            share = budget[spent] / limit
            tiles.append(
                Tile(
                    "Run's budget",
                    shown(budget[spent]),
                    f"{share:.0%} of {shown(limit)}",
                    "bad" if share > 1 else "",
                    min(share, 1.0),
                )
            )
    return tiles


def _trade_tiles(summary: Summary) -> list[Tile]:
    """Returns trades and volume, or what a scenario tells of its rounds that has neither."""
    rounds, trades = summary["rounds"], summary["trades"]
    if figures := summary.get("figures"):
        return [Tile(name.capitalize(), figure) for name, figure in figures.items()]
    return [
        Tile("Trades", count(trades), f"{trades / rounds:,.1f} per round" if rounds else ""),
        Tile("Volume", f"{count(summary['volume_lots'])} lots", _volume_note(summary)),
    ]


def _volume_note(summary: Summary) -> str:
    if not summary["trades"]:
        return "nothing was traded"
    return f"{summary['volume_lots'] / summary['trades']:,.1f} lots per trade"


def _error_note(summary: Summary) -> str:
    kinds = errors_of_decisions(summary)
    if not kinds:
        return "every answer could be read" if turns_taken(summary) else "nobody was prompted"
    worst = max(kinds, key=lambda kind: kinds[kind])
    return f"most: {plain(worst)}"
