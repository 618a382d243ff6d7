"""Puts a run's summary into words and figures that a person reads; it knows no tables and no HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Summary = Mapping[str, Any]

SCRIPTED, BASELINE, EMBEDDED = "scripted policy", "baseline rule", "tiny embedded model"
CENTS = 100


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure; `share` fills a meter, from 0 to 1."""

    label: str
    value: str
    note: str = ""
    state: Literal["", "good", "bad"] = ""
    share: float | None = None


def count(value: float) -> str:
    """A whole number with thousands separators."""
    return f"{round(value):,}"


def pebbles(value: float) -> str:
    """An amount of pebbles, with a sign and two decimals."""
    return f"{value:+,.2f}".replace("-", "\N{MINUS SIGN}")


def seconds(value: float) -> str:
    """A duration in the unit that suits it, with three figures."""
    for unit, factor in (("s", 1), ("ms", 1_000)):
        if value * factor >= 1:
            shown = value * factor
            return f"{shown:,.0f} {unit}" if shown >= 100 else f"{shown:.3g} {unit}"
    return f"{value * 1_000_000:.3g} µs" if value > 0 else "0 s"


def plain(word: str) -> str:
    """`wrong_shape` as words."""
    return word.replace("_", " ")


def nature(summary: Summary, mind: str) -> str:
    """What a mind is, in the words that stand next to each of its results; a desk is what its model is."""
    desk = summary.get("desks", {}).get(mind)
    engine = summary["engines"].get(desk["model"] if desk else mind)
    known = {None: BASELINE, "scripted": SCRIPTED, "embedded": EMBEDDED}
    return known.get(engine, f"model behind {engine}")


def minds_without_model(summary: Summary) -> list[str]:
    """The minds that are no language model."""
    return [mind for mind in summary["minds"] if nature(summary, mind) in (SCRIPTED, BASELINE)]


def rules_named(summary: Summary) -> str:
    """`scripted policies`, `baseline rules` or both, as far as the run has them."""
    natures = {nature(summary, mind) for mind in minds_without_model(summary)}
    plurals = {SCRIPTED: "scripted policies", BASELINE: "baseline rules"}
    return " and ".join(plural for name, plural in plurals.items() if name in natures)


def notice(summary: Summary) -> tuple[str, str]:
    """Heading and text of the notice that (some) results are no language model's; empty where all are."""
    rules = minds_without_model(summary)
    if not rules:
        return _embedded_notice(summary)
    traders = sum(summary["minds"][mind] for mind in rules)
    everyone = traders == summary["traders"]
    scope = f"all {count(traders)} traders" if everyone else f"{count(traders)} of {count(summary['traders'])} traders"
    heading = f"{_opened(rules_named(summary))}, no language model" + ("" if everyone else f", for {scope}")
    text = (
        f"{_opened(scope)} were decided for by rules in code ({', '.join(rules)}). "
        "Their results compare these rules and say nothing about what a language model would do."
    )
    return heading, text


def _embedded_notice(summary: Summary) -> tuple[str, str]:
    """The notice of a run whose minds are embedded models, as far as it has any; empty where it has none."""
    tiny = [mind for mind in summary["minds"] if nature(summary, mind) == EMBEDDED]
    if not tiny:
        return "", ""
    return (
        "Tiny language models of this project's own",
        f"{_opened(', '.join(tiny))}: each has about a million parameters, was schooled to choose as a rule does, and "
        "picks a letter from a menu of lawful actions. What they do says little about what larger models would do.",
    )


def model_tag(summary: Summary) -> str:
    """What stands next to every result by model."""
    rules = minds_without_model(summary)
    if not rules:
        return ""
    if len(rules) < len(summary["minds"]):
        return f"no language model: {', '.join(rules)}"
    return f"{rules_named(summary)}, no language model"


def _opened(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def mind_label(summary: Summary, mind: str) -> str:
    """A mind's name and, below it, what it is."""
    return f"{mind}\n{nature(summary, mind)}"


def state(summary: Summary) -> tuple[str, bool]:
    """How far the run came, and whether it came to its end."""
    done, planned = summary["rounds"], summary["rounds_planned"]
    finished = done == planned and summary.get("finished", True)
    if finished:
        return f"finished: all {count(planned)} rounds", True
    return f"interrupted: {count(done)} of {count(planned)} rounds", False


def where(summary: Summary) -> str:
    """Where the run took place."""
    layout = summary.get("layout", {})
    shards, size = layout.get("shards"), layout.get("traders_per_shard")
    shape = f", {_plural(shards, 'shard')} of up to {_plural(size, 'trader')}" if shards and size else ""
    return f"{summary.get('place', 'not recorded')}{shape}{_spread(layout)}"


def _spread(layout: Summary) -> str:
    """Over how many nodes shards were spread, and what came and went; nothing of that for a single node that stayed."""
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
    """How many traders were there from which round on, and what that means for the figures; empty where all stayed."""
    population = summary.get("population")
    if not population:
        return ""
    (_, at_first), *later = population["schedule"]
    steps = "".join(f", {count(traders)} from round {count(first)} on" for first, traders in later)
    return (
        f"{count(at_first)} traders at the opening{steps}. Figures are of those who were there; profits are of the "
        f"{count(population['stayed'])} who never left."
    )


def broken_assets(summary: Summary) -> list[str]:
    """The assets of which some amount is unexplained."""
    return [asset for asset, flow in summary["conservation"].items() if flow["unexplained"]]


def turns_taken(summary: Summary) -> bool:
    """Tell whether any text was prompted at all."""
    return bool(summary["tokens"]["prompt"] or summary["tokens"]["completion"])


def late_turns(summary: Summary) -> int:
    """Turns that were too late for their round, by a shard or by a model."""
    by_mind: Mapping[str, int] = summary.get("late_turns_by_mind", {})
    return max(int(summary["late_turns"]), sum(by_mind.values()))


def tiles(summary: Summary) -> list[Tile]:
    """The key figures."""
    rounds = summary["rounds"]
    pace, wealth = summary["seconds_per_round"], summary["wealth"]
    errors = sum(n for kind, n in summary["decision_errors"].items() if kind != "late")
    broken = broken_assets(summary)
    late = late_turns(summary)
    return [
        Tile("Trades", count(summary["trades"]), f"{summary['trades'] / rounds:,.1f} per round" if rounds else ""),
        Tile("Volume", f"{count(summary['volume_lots'])} lots", _volume_note(summary)),
        _token_tile(summary),
        Tile("Time per round", seconds(pace["p50"]), f"median; p95 {seconds(pace['p95'])}")
        if rounds
        else Tile("Time per round", "none", "no round was finished"),
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


def _token_tile(summary: Summary) -> Tile:
    turn = summary["tokens"]["per_turn"]
    if not turns_taken(summary):
        return Tile("Tokens per turn", "none", "nobody was prompted")
    if not turn["max"]:
        return Tile("Tokens per turn", "none", "all traders sat at desks")
    about = ", estimated" if summary["tokens"].get("counted_by") == "estimate" else ""
    note = f"mean; most {count(turn['max'])}, budget {count(turn['budget'])}{about}"
    over = turn["max"] > turn["budget"]
    return Tile(
        "Tokens per turn", count(turn["mean"]), note, "bad" if over else "", min(1.0, turn["mean"] / turn["budget"])
    )


def _budget_tiles(summary: Summary) -> list[Tile]:
    """What was spent against each limit of the run."""
    budget, tiles = summary.get("budget", {}), []
    for key, spent, shown in (
        ("run_tokens", "spent_tokens", count),
        ("run_usd", "spent_usd", lambda usd: f"${usd:,.2f}"),
    ):
        if limit := budget.get(key):
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


def _volume_note(summary: Summary) -> str:
    if not summary["trades"]:
        return "nothing was traded"
    return f"{summary['volume_lots'] / summary['trades']:,.1f} lots per trade"


def _error_note(summary: Summary) -> str:
    kinds = {kind: n for kind, n in summary["decision_errors"].items() if kind != "late"}
    if not kinds:
        return "every answer could be read" if turns_taken(summary) else "nobody was prompted"
    worst = max(kinds, key=lambda kind: kinds[kind])
    return f"most: {plain(worst)}"


def shortened(text: str, most: int) -> str:
    """At most so many characters of a text, with a mark where it was cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plural(number: int, noun: str) -> str:
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def listed(counts: Mapping[str, int], none: str = "none") -> str:
    """`3 wrong shape, 1 late`, or `none`."""
    shown: Sequence[str] = [f"{count(n)} {plain(name)}" for name, n in counts.items() if n]
    return ", ".join(shown) or none


def pruning(summary: Summary) -> str:
    """Why messages were not heard and, where the run counted them, how many there were and were delivered."""
    reasons = listed(summary["pruned_messages"])
    if not (messages := summary.get("messages", {})).get("said"):
        return reasons
    heard = f"{count(messages['delivered'])} of {count(messages['addressed'])} deliveries made"
    return f"{reasons}; {count(messages['said'])} messages said, {heard}"


def facts(summary: Summary) -> list[tuple[str, str]]:
    """What it takes to run the same again."""
    return [
        ("Config, sha256", summary["config_sha256"]),
        ("Journal, sha256", summary["journal_sha256"]),
        ("Seed", str(summary["seed"])),
        ("Journal", f"{count(summary['journal']['frames'])} frames, {count(summary['journal']['bytes'])} bytes"),
    ]
