"""Puts a run's summary into words and figures that a person reads; it knows no tables and no HTML."""

from collections.abc import Mapping, Sequence
from typing import Any

Summary = Mapping[str, Any]

CENTS = 100


def count(value: float) -> str:
    """Returns a whole number with thousands separators."""
    return f"{round(value):,}"


def pebbles(value: float) -> str:
    """Returns an amount of pebbles with a sign, and below a thousand with two decimals."""
    return f"{value:+,.{2 if abs(value) < 1_000 else 0}f}".replace("-", "\N{MINUS SIGN}")


def seconds(value: float | None) -> str:
    """Returns a duration in the unit that suits it, with three figures; None is a journal's, which has no clock."""
    if value is None:
        return "not known"
    # The largest unit in which it is at least 1.
    for unit, factor in (("s", 1), ("ms", 1_000)):
        if value * factor >= 1:
            shown = value * factor
            return f"{shown:,.0f} {unit}" if shown >= 100 else f"{shown:.3g} {unit}"
    return f"{value * 1_000_000:.3g} µs" if value > 0 else "0 s"


def plain(word: str) -> str:
    """Returns the words of a name: `wrong_shape` becomes "wrong shape"."""
    return word.replace("_", " ")


def opened(sentence: str) -> str:
    """Returns a sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def state(summary: Summary) -> tuple[str, bool]:
    """Returns how far the run came, and whether it came to its end."""
    done, planned = summary["rounds"], summary["rounds_planned"]
    # A run can be stopped after its last round and before its end is written.
    finished = done == planned and summary.get("finished", True)
    if finished:
        return f"finished: all {count(planned)} rounds", True
    return f"interrupted: {count(done)} of {count(planned)} rounds", False


def where(summary: Summary) -> str:
    """Returns where the run ran, and over how many shards and nodes."""
    layout = summary.get("layout", {})
    shards, size = layout.get("shards"), layout.get("traders_per_shard")
    # A run in one process has no shards to tell of.
    shape = f", {_plural(shards, 'shard')} of up to {_plural(size, 'trader')}" if shards and size else ""
    return f"{summary.get('runs_on', 'not recorded')}{shape}{_spread(layout)}"


def _spread(layout: Summary) -> str:
    """Returns how many nodes shards were on, and what came and went; empty for a single node that stayed."""
    counted = {
        what: layout.get(key, 0)
        for key, what in (("nodes_joined", "joined"), ("nodes_left", "left"), ("shards_moved", "moved"))
    }
    nodes = len(layout.get("shards_by_node", ()))
    if nodes < 2 and not any(counted.values()):
        return ""
    joined, left = _plural(counted["joined"], "node"), _plural(counted["left"], "node")
    return (
        f", on {_plural(nodes, 'node')} at the end; {joined} joined and {left} left on the way, "
        f"{_plural(counted['moved'], 'shard')} moved"
    )


def coming_and_going(summary: Summary) -> str:
    """Returns who was there from which round on, and what that means for the figures; empty where all stayed."""
    population = summary.get("population")
    if not population:
        return ""
    (_, at_first), *later = population["schedule"]
    later_on = "".join(f", {count(traders)} from round {count(first)} on" for first, traders in later)
    return (
        f"{count(at_first)} traders at the opening{later_on}. Figures are of those who were there; profits are of the "
        f"{count(population['stayed'])} who never left."
    )


def touched(summary: Summary) -> str:
    """Returns who stepped into the run and how often; empty where nobody did."""
    acts: Mapping[str, int] = summary.get("by_hand", {}).get("acts", {})
    return ", ".join(f"{who} ({_plural(n, 'act')})" for who, n in acts.items())


def broken_assets(summary: Summary) -> list[str]:
    """Returns the assets of which some amount is unexplained."""
    return [asset for asset, flow in summary["conservation"].items() if flow["unexplained"]]


def turns_taken(summary: Summary) -> bool:
    """Tells whether any text was prompted at all."""
    return bool(summary["tokens"]["prompt"] or summary["tokens"]["completion"])


def errors_of_decisions(summary: Summary) -> dict[str, int]:
    """Returns turns that were spoilt, by kind; turns that a late shard lost are counted apart, as late."""
    return {kind: n for kind, n in summary["decision_errors"].items() if kind != "late"}


def late_turns(summary: Summary) -> int:
    """Returns how many turns were too late for their round, by a shard or by a model."""
    by_mind: Mapping[str, int] = summary.get("late_turns_by_mind", {})
    # Summaries count by shard, by mind or both; the larger figure holds the other.
    return max(int(summary["late_turns"]), sum(by_mind.values()))


def shortened(text: str, most: int) -> str:
    """Returns at most so many characters of a text, with a mark where it was cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plural(number: int, noun: str) -> str:
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def listed(counts: Mapping[str, int], none: str = "none") -> str:
    """Returns counts as words: `3 wrong shape, 1 late`, or `none`."""
    shown: Sequence[str] = [f"{count(n)} {plain(name)}" for name, n in counts.items() if n]
    return ", ".join(shown) or none


def pruning(summary: Summary) -> str:
    """Returns why messages were not heard and, where the run counted them, how many there were and were delivered."""
    reasons = listed(summary["pruned_messages"])
    if not (messages := summary.get("messages", {})).get("said"):
        return reasons
    heard = f"{count(messages['delivered'])} of {count(messages['addressed'])} deliveries made"
    return f"{reasons}; {count(messages['said'])} messages said, {heard}"


def facts(summary: Summary, seed: str) -> list[tuple[str, str]]:
    """Returns what it takes to run the same again; `seed` is the seed in words."""
    return [
        ("Config, sha256", summary["config_sha256"]),
        ("Journal, sha256", summary["journal_sha256"]),
        ("Seed", seed),
        ("Journal", f"{count(summary['journal']['frames'])} frames, {count(summary['journal']['bytes'])} bytes"),
        *((f"Model {name}", told) for name, told in summary.get("terms", {}).items()),
    ]
