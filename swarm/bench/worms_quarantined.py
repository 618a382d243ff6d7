"""Measures which lines a router's classifier keeps back: of held-out families, of other tongues, and of the Wood."""

from collections.abc import Iterable
from pathlib import Path

from swarm.bench.form import Result, share
from swarm.config_file import load
from swarm.coordination.suspicion import suspected
from swarm.coordination.worm_classifier import asks
from swarm.runtime.play import play
from swarm.simulation.traces import Traces
from swarm.training.worm_lines import Line, Part, lines

RUNS, ROUNDS = 3, 20
CONFIGS = ("wood", "wood-scripted")
"""Configs of whose runs each distinct line is asked of: minds that choose lines from menus, and scripted ones."""


def measure() -> list[Result]:
    """Returns the recall and the false share on families that judge, by family and in other tongues, and in runs."""
    asking = [line for line in lines("judged") if line.asks]
    harmless = [line for line in lines("judged") if not line.asks]
    found = [
        share(
            "worm_recall_rule", sum(suspected([line.text]) for line in asking), len(asking), None, "by the rule alone"
        ),
        share("worm_recall_classifier", _kept(asking), len(asking), None, f"by family {_by_family('judged', True)}"),
        share(
            "worm_false_classifier", _kept(harmless), len(harmless), None, _by_family("judged", False), better="lower"
        ),
    ]
    # Tongues and disguises that no schooling had.
    for kind, name in ((True, "recall"), (False, "false")):
        other = [line for line in lines("elsewhere") if line.asks == kind]
        told = _by_family("elsewhere", kind)
        found.append(
            share(f"worm_{name}_elsewhere", _kept(other), len(other), None, told, better="higher" if kind else "lower")
        )
    said, offers = said_in_runs()
    wrong = [text for text in said if _quarantined(text)]
    told = f"distinct sayings of {RUNS * len(CONFIGS)} runs of {ROUNDS} rounds; of offers {_kept_of(offers)}"
    return [*found, share("worm_false_of_runs", len(wrong), len(said), 0.0, told, better="lower")]


def said_in_runs() -> tuple[list[str], list[str]]:
    """Returns each distinct saying of runs of the Wood once, and each distinct offer."""
    said: set[str] = set()
    offers: set[str] = set()
    for name in CONFIGS:
        for seed in range(1, RUNS + 1):
            watching = Traces(frozenset({"messages"}))
            play(load(Path(name), (f"rounds={ROUNDS}", "traders.router={}"), seed), watching)
            for kind, text in watching.tables()["messages"].select("kind", "text").iter_rows():
                (offers if kind == "offer" else said).add(text)
    return sorted(said), sorted(offers)


def _quarantined(text: str) -> bool:
    return suspected([text]) or asks(text)


def _kept(some: Iterable[Line]) -> int:
    return sum(_quarantined(line.text) for line in some)


def _kept_of(texts: list[str]) -> str:
    return f"{sum(map(_quarantined, texts))} of {len(texts)}"


def _by_family(part: Part, kind: bool) -> str:
    """Returns how many of each family are kept back, in words."""
    family: dict[str, list[Line]] = {}
    for line in lines(part):
        if line.asks == kind:
            family.setdefault(line.family, []).append(line)
    return ", ".join(f"{name} {_kept(some)} of {len(some)}" for name, some in family.items())
