"""Measures whether a member of a council that lies is found, and what it costs the council. No language models.

Five scripted temperaments vote on the actions of a menu; one of them gives the worst one instead, always or now and
then. Whether it is found goes by what votes would have brought, beside lots drawn from the same menus.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean
from typing import Any, get_args

from swarm.bench.abuse_kept import Kept
from swarm.bench.form import Result, paired
from swarm.config_file import resolve
from swarm.coordination.intervals import wilson
from swarm.llm.temperament import Temperament
from swarm.preflight import Narrator
from swarm.runtime.play import play

MEMBERS: tuple[Temperament, ...] = get_args(Temperament)
LIES = (1.0, 0.5, 0.25)
"""How often the liar lies, by evasion."""

FIRST_SEED, TRADERS, ROUNDS = 50_000, 8, 12


def sat(seed: int, lies: float, rule: str = "majority") -> dict[str, Any]:
    """Returns who was said to lie in a run, who did, and the council's regret."""
    # Who lies goes round, since some temperaments are often wrong by nature.
    liar = MEMBERS[seed % len(MEMBERS)]
    models = [
        {"name": name, "temperament": name, "form": "menu", "lies": lies if name == liar else 0.0} for name in MEMBERS
    ]
    council = {"name": "five", "members": list(MEMBERS), "rule": rule}
    config = {
        "seed": seed,
        "rounds": ROUNDS,
        "population": TRADERS,
        "models": models,
        "traders": {"hears": 0, "councils": [council], "minds": {"five": 1}},
    }
    of = play(resolve(config)).summary["councils"]["five"]
    return {"liars": of["liars"], "liar": liar if lies else "", "regret": of["regret_ticks"]}


def measure(injections: int, honest: int, kept: Kept, narrator: Narrator) -> list[Result]:
    """Returns how often honest members are accused, what is found of liars, and what they cost by two rules."""
    narrator.phase(f"{honest} honest councils")
    clean = kept.figures([_named(seed, 0.0) for seed in _seeds(honest, 1_000)])
    if not clean:
        return []
    accused, of = sum(len(one["liars"]) for one in clean), len(clean) * len(MEMBERS)
    note = f"{accused} of {of} honest members of {len(clean)} councils ({_bounds(accused, of)})"
    found = [Result("abuse_false_liars", round(accused / of, 5), "per member and run", "lower", 0.001, bound=note)]
    for evasion, lies in enumerate(LIES):
        runs = injections if evasion == 0 else max(injections // 2, 1)
        narrator.phase(f"{runs} councils with a liar, evasion {evasion}")
        ran = kept.figures([_named(seed, lies) for seed in _seeds(runs)])
        if ran:
            found.append(_of_liar(evasion, ran))
    narrator.phase("what a liar costs")
    return [*found, *_cost(max(injections // 5, 2), kept)]


def _named(seed: int, lies: float, rule: str = "majority") -> tuple[str, Callable[[], dict[str, Any]]]:
    """Returns a run by a name of its own, and a function that plays it."""
    return f"{seed}-votes-{rule}-{lies}", partial(sat, seed, lies, rule)


def _seeds(number: int, beyond: int = 0) -> range:
    return range(FIRST_SEED + beyond, FIRST_SEED + beyond + number)


def _of_liar(evasion: int, ran: Sequence[dict[str, Any]]) -> Result:
    hits = sum(one["liar"] in one["liars"] for one in ran)
    others = sum(len({*one["liars"]} - {one["liar"]}) for one in ran)
    note = f"{hits} of {len(ran)} ({_bounds(hits, len(ran))}); honest members accused beside it {others}"
    aim = 0.9 if evasion == 0 else None
    return Result(f"abuse_liar_evasion_{evasion}", round(hits / len(ran), 4), "recall", "higher", aim, bound=note)


def _cost(seeds: int, kept: Kept) -> list[Result]:
    """Returns the regret that a liar adds to a council whose votes count alike, and to one whose votes are weighed."""
    found = []
    for rule in ("majority", "weighted"):
        pairs = []
        for seed in _seeds(seeds):
            ran = kept.figures([_named(seed, lies, rule) for lies in (LIES[0], 0.0)])
            # On the same seed with a liar and without, or not at all.
            if len(ran) == 2:
                pairs.append(ran[0]["regret"] - ran[1]["regret"])
        if len(pairs) > 1:
            note = f"{paired(pairs, 'ticks a turn')}; votes {rule}"
            found.append(Result(f"abuse_liar_cost_{rule}", round(mean(pairs), 3), "ticks", "lower", bound=note))
    return found


def _bounds(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{low:.4f} to {high:.4f}"
