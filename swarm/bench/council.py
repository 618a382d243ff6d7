"""What a council is worth beside its best member, one member that is sampled, and a rule that asks no model.

All of them decide in the same turns of runs that the members themselves play, and rounds are cleared again with what
each would have ordered. So differences are paired, and none of it moves the market that the others meet.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

import numpy as np

from swarm.agents.forms.menus import LETTERS
from swarm.agents.memory import Memory
from swarm.agents.mind import Seats
from swarm.agents.minds import definitions
from swarm.agents.minds.council import CouncilMind
from swarm.agents.minds.rule import RuleConfig, RuleMind
from swarm.agents.observation import Observation
from swarm.agents.votes import OPTIONS, CouncilTurn
from swarm.bench.form import Result, paired
from swarm.bench.runs import TEMPERAMENTS
from swarm.bench.shadow import Again, Shadow, by_seed
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.coordination.failing_alike import Alike, failing_alike
from swarm.experiments.workers import side_by_side, usual_jobs
from swarm.preflight import Narrator
from swarm.simulation.council_outcomes import CouncilOutcomes

SEEDS, ROUNDS, POPULATION, LOOKED_AT, SAMPLES = 20, 8, 20, 8, 5
HEAT = 1.0
"""Temperature of members that are sampled: as likely as they find it themselves."""

Rule = Literal["majority", "weighted", "dawid_skene", "confident"]
RULES: tuple[Rule, ...] = get_args(Rule)
SCENARIOS = {"wood": {"name": "wood"}, "double_auction": {"name": "double_auction"}}


@dataclass(slots=True)
class Turns:
    """Columns of judged turns: regret in ticks by who decided, and whose votes were right."""

    seed: list[int] = field(default_factory=list)
    round: list[int] = field(default_factory=list)
    regret: dict[str, list[int]] = field(default_factory=dict)
    action: list[Any] = field(default_factory=list)
    right: list[Any] = field(default_factory=list)
    followed: int = 0

    def lost(self, who: str, ticks: int) -> None:
        """Adds what somebody's decision has brought less than the best."""
        self.regret.setdefault(who, []).append(ticks)

    def add(self, others: Self) -> None:
        """Adds the turns of another run behind these."""
        for who, ticks in others.regret.items():
            self.regret.setdefault(who, []).extend(ticks)
        self.seed += others.seed
        self.round += others.round
        self.action += others.action
        self.right += others.right
        self.followed += others.followed


def measure(narrator: Narrator) -> list[Result]:
    """Returns regrets of all who decide, and how alike the members fail, in both scenarios."""
    # Each seed is a run of its own and none is timed, so that every core has one.
    narrator.phase(f"{SEEDS} runs in each of {len(SCENARIOS)} scenarios")
    jobs = [(scenario, seed) for scenario in SCENARIOS for seed in range(SEEDS)]
    looked = iter(side_by_side(_looked_at, jobs, usual_jobs()))
    results: list[Result] = []
    for scenario in SCENARIOS:
        turns = Turns()
        for _ in range(SEEDS):
            turns.add(next(looked))
        results += _compared(scenario, turns) + _alike(scenario, turns)
    return results


def _config(scenario: str, seed: int) -> RunConfig:
    members = [{"name": t, "engine": "embedded", "temperament": t} for t in TEMPERAMENTS]
    hot = [{**m, "name": f"{m['name']}-hot", "temperature": HEAT} for m in members]
    names = {rule: [m["name"] for m in (hot if rule == "confident" else members)] for rule in RULES}
    councils = [
        {"name": rule, "members": names[rule], "rule": rule, "samples": 3 if rule == "confident" else 1}
        for rule in RULES
    ]
    return resolve(
        {
            "name": "bench-council",
            "seed": seed,
            "rounds": ROUNDS,
            "population": POPULATION,
            "scenario": SCENARIOS[scenario],
            "models": [*members, *hot],
            "traders": {"councils": councils, "minds": {**dict.fromkeys(TEMPERAMENTS, 1)}},
        }
    )


def _looked_at(scenario: str, seed: int) -> Turns:
    """Plays one run, and has councils, a sampled member and a rule decide for some of its traders, too."""
    turns = Turns()
    config = _config(scenario, seed)
    shadow = Shadow(config)
    shard = replace(shadow.plan.shard, definitions=definitions([m.name for m in config.models], config.traders))
    councils = {c.name: CouncilMind(c.name, c, shard) for c in config.traders.councils}
    outcomes = CouncilOutcomes(replace(shadow.plan, shard=shard))
    rule = RuleMind("truthful", RuleConfig(rule="truthful"), replace(shard, minds=("truthful",) * POPULATION))

    def look(shown: Observation, again: Again) -> None:
        # A council knows what its members were worth in the rounds before, as in a run of its own.
        seen = Observation(replace(shown.public, members_worth=outcomes.worth), shown.private)
        seats = Seats.at(seen, shadow.rows(seen, LOOKED_AT))
        best = {
            row: max(again.of_action(row, a) for a in shadow.menus.menu(seen, row).actions)
            for row in seats.rows.tolist()
        }
        for name, council in councils.items():
            voted = asyncio.run(council.decide(seats, shadow.clients, 600.0))
            judged = outcomes.judge(seen, voted, shadow.menus, again, seen.public.round)
            if len(judged) != len(seats):
                raise ValueError(f"{len(judged)} of {len(seats)} turns of a council were judged")
            for one in judged:
                turns.lost(name, one.best_ticks - one.council_ticks)
            if name == "majority":
                for one in judged:
                    turns.seed.append(seed)
                    turns.round.append(one.round)
                    turns.action.append(one.action)
                    turns.right.append(one.right)
                    for member, gain in zip(TEMPERAMENTS, one.gain_ticks.tolist(), strict=True):
                        turns.lost(member, one.best_ticks - gain)
            if name == "weighted":
                texts = (CouncilTurn.from_text(text, len(TEMPERAMENTS)) for text in voted.text)
                turns.followed += sum(turn.alone >= 0 for turn in texts)
        _sampled(turns, shadow, seats, again, best)
        orders, _memory = rule.orders(seen, Memory.empty())
        for row, most in best.items():
            own = orders.take(orders.trader == seen.private.trader[row])
            turns.lost("rule", most - again.gain(row, own))

    shadow.play(look)
    return turns


def _sampled(turns: Turns, shadow: Shadow, seats: Seats, again: Again, best: dict[int, int]) -> None:
    """Each member, asked several times at its own likelihoods: what it says most often."""
    for member in TEMPERAMENTS:
        answers = shadow.ask(f"{member}-hot", seats, SAMPLES)
        for i, (row, most) in enumerate(best.items()):
            letter = Counter(a.text[0] for a in answers[i * SAMPLES : (i + 1) * SAMPLES]).most_common(1)[0][0]
            action = shadow.menus.menu(seats.seen, row).actions[LETTERS.index(letter)]
            turns.lost(f"{member} sampled", most - again.of_action(row, action))


def _compared(scenario: str, turns: Turns) -> list[Result]:
    """Everybody's regret beside that of the best member, which is chosen by the other seeds."""
    seed = np.array(turns.seed)
    lost = {who: np.array(ticks, dtype=np.float64) for who, ticks in turns.regret.items()}
    means = {who: np.array(by_seed(ticks, seed)) for who, ticks in lost.items()}

    def chosen(suffix: str) -> Any:
        """[seeds] regrets of the member that has the least on all other seeds."""
        return np.array(
            [
                min((np.delete(means[m + suffix], s).mean(), means[m + suffix][s]) for m in TEMPERAMENTS)[1]
                for s in range(SEEDS)
            ]
        )

    single = chosen("")
    ways: dict[str, Any] = {rule: means[rule] for rule in RULES}
    ways |= {"sampled": chosen(" sampled"), "rule": means["rule"]}
    followed = turns.followed / len(seed)
    notes = {
        "weighted": f"one member was followed alone in {100 * followed:.1f}% of the turns",
        "sampled": f"the best member, {SAMPLES} samples at temperature {HEAT:g}, what it says most often",
        "rule": "orders at what goods are worth (`truthful`), no language model",
        "confident": f"3 samples of each member at temperature {HEAT:g}",
    }
    prefix = f"council_{scenario}"
    results = [
        Result(f"{prefix}_regret_best_single", round(float(single.mean()), 3), "ticks a turn", "lower",
               bound=f"{len(seed):,} turns of {SEEDS} runs; the member is chosen by the other seeds",
               runs=tuple(round(float(v), 3) for v in single)),
    ]  # fmt: skip
    for way, regrets in ways.items():
        # Above zero is more regret than the best member's.
        results.append(
            Result(
                f"{prefix}_regret_{way}",
                round(float(regrets.mean()), 3),
                "ticks a turn",
                "lower",
                bound=f"against the best member: {paired((regrets - single).tolist(), 'ticks')}",
                note=notes.get(way, ""),
                runs=tuple(round(float(v), 3) for v in regrets),
            )
        )
    return results


def _alike(scenario: str, turns: Turns) -> list[Result]:
    """Whether the members fail alike, over the turns of all seeds; rounds of different seeds are different rounds."""
    rounds = np.array(turns.seed) * 10_000 + np.array(turns.round)
    found: Alike = failing_alike(np.stack(turns.action), np.stack(turns.right), OPTIONS, rounds)
    prefix = f"council_{scenario}"
    return [
        Result(f"{prefix}_n_eff", round(found.n_eff, 3), "votes", "higher",
               bound=f"of {len(TEMPERAMENTS)}; errors correlate by {found.correlation:.3f}. {found.sentence}"),
        Result(f"{prefix}_all_wrong", round(found.all_wrong, 4), "share of turns", "lower",
               bound=f"{found.independent:.4f} if independent: {found.ratio:.2f} times as often "
               f"({found.ratio_low:.2f} to {found.ratio_high:.2f}, bootstrap over rounds)"),
        Result(f"{prefix}_same_wrong", round(found.same_wrong, 4), "share of joint errors", "lower",
               bound=f"{found.same_wrong_by_chance:.3f} by chance"),
    ]  # fmt: skip
