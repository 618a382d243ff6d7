"""Keeps what members of councils were worth: each round's proposed actions are cleared again to see what they bring.

Labels come free in a market: with all other orders as they were, the round is cleared once more for each action of
the menu. All of it follows from the journal, so a replay comes to the same weights. Orders that
rest and debts from earlier rounds are left out of it.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from swarm.agents.config import CouncilConfig
from swarm.agents.forms.menu import MenuForm
from swarm.agents.observation import MembersWorth, Observation
from swarm.agents.turns import Turns
from swarm.agents.votes import NEVER_SURE, OPTIONS, CouncilTurn, actions_of, count, turns_in
from swarm.coordination.calibration import Isotonic
from swarm.coordination.vote import MISSING, dawid_skene, log_odds
from swarm.market.counterfactual import Counterfactual
from swarm.market.orders import Int64
from swarm.seeding import draw_some
from swarm.simulation.gains import realised_ticks
from swarm.simulation.plan import RunPlan

Float64 = npt.NDArray[np.float64]

LEAST_CALLS = 20
"""Judged calls of a member before anybody is followed or weighed by them."""

KEPT_TURNS = 500
"""Turns that agreement is estimated over."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One turn whose proposals were cleared again.

    `gain_ticks` is [members] what each member's action would have brought, and `council_ticks` what was decided; a
    member without a vote has brought nothing, as one that passes. `sampled_ticks` is [members] what the action would
    have brought that a member named most often, where it was asked several times. `by_lot` has mean and variance of
    what all actions of the menu would have brought. `sure` has the probability that the votes of all gave their winner,
    before any doubt or veto, and whether it would have brought as much as the best; None where that is to pass, which
    no doubt changes.
    """

    round: int
    trader: int
    council: str
    action: Int64
    gain_ticks: Int64
    sampled_ticks: Int64
    council_ticks: int
    best_ticks: int
    by_lot: tuple[float, float]
    sure: tuple[float, bool] | None

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """[members]: whose action brought as much as the best of the menu."""
        found: npt.NDArray[np.bool_] = (self.gain_ticks >= self.best_ticks) & (self.action != MISSING)
        return found


@dataclass(slots=True)
class _Tally:
    """Discounted calls and successes by member, and of the council itself."""

    calls: Float64
    right: Float64
    council_calls: float = 0.0
    council_right: float = 0.0
    answers: list[Int64] = field(default_factory=list)
    sure: list[tuple[float, bool]] = field(default_factory=list)  # probability of a winner, and whether it was right


class CouncilOutcomes:
    """The outcomes of all councils of a run, from round to round."""

    def __init__(self, plan: RunPlan) -> None:
        self._councils: dict[str, CouncilConfig] = {}
        self._tallies: dict[str, _Tally] = {}
        self.under(plan)

    def under(self, plan: RunPlan) -> None:
        """Goes by this plan from now on; what is known of a council stays while it has the same members."""
        before, self._seed = self._councils, plan.seed
        self._councils = plan.shard.sections(CouncilConfig)
        self._tallies = {
            name: self._tallies[name]
            if name in before and before[name].seats == council.seats
            else _Tally(np.zeros(len(council.seats)), np.zeros(len(council.seats)))
            for name, council in self._councils.items()
        }

    def __bool__(self) -> bool:
        return bool(self._councils)

    @property
    def worth(self) -> dict[str, MembersWorth]:
        """What is known of each council's members before the next round."""
        return {name: self._worth(name) for name in self._councils}

    def judge(
        self, seen: Observation, turns: Turns, menus: MenuForm, before: Counterfactual, round_: int
    ) -> list[Judged]:
        """Takes in a round and returns what was judged of it, at most as many turns of a council as its config says."""
        found: list[Judged] = []
        for index, name in enumerate(turns.minds):
            if name not in self._councils:
                continue
            rows = np.flatnonzero(turns.mind == index)
            found += self._judge_council(name, turns, rows, seen, menus, before, round_)
        return found

    def _judge_council(
        self,
        name: str,
        turns: Turns,
        rows: Int64,
        seen: Observation,
        menus: MenuForm,
        before: Counterfactual,
        round_: int,
    ) -> list[Judged]:
        config = self._councils[name]
        # Who is judged is drawn, since clearing a round again costs more than deciding it.
        chosen = rows[draw_some(config.judged_per_round, self._seed, f"judged {name}", round_, turns.trader[rows])]
        row_of = {trader: i for i, trader in enumerate(seen.private.trader.tolist())}
        found = []
        for row in chosen.tolist():
            trader = int(turns.trader[row])
            # A turn that no council took, a failed one say, has nothing to judge.
            for turn in turns_in([turns.text[row]], len(config.seats)):
                if turn.met:
                    found.append(self._judged(name, turn, trader, row_of[trader], seen, menus, before, round_))
        self._learn(name, found)
        return found

    def _judged(
        self,
        name: str,
        turn: CouncilTurn,
        trader: int,
        row: int,
        seen: Observation,
        menus: MenuForm,
        before: Counterfactual,
        round_: int,
    ) -> Judged:
        config, menu = self._councils[name], menus.menu(seen, row)
        samples = actions_of([turn], len(menu.actions))[0]
        # A member that was asked several times stands for what it said first.
        action = samples[:, 0] if samples.shape[1] else np.full(len(config.seats), MISSING)
        # Every action is cleared, since members that are all wrong can only be told by what none of them proposed.
        gains = {number: realised_ticks(before, trader, a, seen, row) for number, a in enumerate(menu.actions)}
        of_all = np.array(list(gains.values()), dtype=np.float64)
        gains[MISSING] = 0
        both = [turn, _by_votes_alone(turn, config.overseers)]
        decided, won = count(both, config.rule, config.overseers, len(menu.actions))
        gain, sampled = (
            np.array([gains[number] for number in numbers], dtype=np.int64)
            for numbers in (action.tolist(), map(_most, samples.tolist()))
        )
        best = max(gains.values())
        council = gains[MISSING if decided.action is None else decided.action]
        # Neither who votes to pass nor nobody's vote can be in doubt.
        sure = (won.probability, gains[won.action] >= best) if won.action else None
        by_lot = float(of_all.mean()), float(of_all.var())
        return Judged(round_, trader, name, action, gain, sampled, council, best, by_lot, sure)

    def _learn(self, name: str, judged: list[Judged]) -> None:
        tally = self._tallies[name]
        # What was seen half a life ago counts half, since members and markets change.
        fade = 0.5 ** (1 / self._councils[name].half_life_calls)
        for one in judged:
            asked = one.action != MISSING
            tally.calls = np.where(asked, tally.calls * fade + 1, tally.calls)
            tally.right = np.where(asked, tally.right * fade + one.right, tally.right)
            tally.council_calls = tally.council_calls * fade + 1
            tally.council_right = tally.council_right * fade + (one.council_ticks >= one.best_ticks)
            tally.answers.append(one.action)
            tally.sure += [one.sure] if one.sure else []
        del tally.answers[:-KEPT_TURNS], tally.sure[:-KEPT_TURNS]

    def _worth(self, name: str) -> MembersWorth:
        config, tally = self._councils[name], self._tallies[name]
        members, doubt = len(config.seats), doubt_permille(config.abstain_permille, tally.sure)
        if tally.calls.max(initial=0) < min(LEAST_CALLS, config.half_life_calls) or config.rule == "majority":
            return MembersWorth.alike(members, doubt)
        if config.rule == "dawid_skene":
            accuracy = dawid_skene(np.stack(tally.answers), OPTIONS).accuracy
        else:
            # One success and one failure more than were seen, so that nobody is sure of anything.
            accuracy = (tally.right + 1) / (tally.calls + 2)
        weights = np.rint(1_000 * log_odds(accuracy, OPTIONS)).astype(np.int64)
        alone = self._alone(tally, config.abstain_permille / 1_000) if config.rule == "weighted" else -1
        return MembersWorth(tuple(weights.tolist()), alone, doubt)

    def _alone(self, tally: _Tally, asked: float) -> int:
        """Returns the best member while its lower bound is above what the council reaches and is asked for, else -1."""
        best = int(((tally.right + 1) / (tally.calls + 2)).argmax())
        reached = max((tally.council_right + 1) / (tally.council_calls + 2), asked)
        return best if lower_bound(float(tally.right[best]), float(tally.calls[best])) > reached else -1


def _by_votes_alone(turn: CouncilTurn, overseers: frozenset[int]) -> CouncilTurn:
    """Returns the turn as it is where nobody is followed alone, nobody vetoes and nothing is in doubt."""
    # An overseer's vote is left empty, so that it neither votes nor vetoes.
    votes = tuple(() if m in overseers else vote for m, vote in enumerate(turn.votes))
    return replace(turn, votes=votes, alone=-1, doubt_permille=0)


def doubt_permille(abstain_permille: int, sure: list[tuple[float, bool]]) -> int:
    """Returns the least probability by the votes, in 1/1000, at which winners are right as often as is asked for.

    How often they are right at which probability is an isotonic regression over the judged turns; it never falls, so
    there is one such probability, or none (`NEVER_SURE`).
    """
    if not abstain_permille or len(sure) < LEAST_CALLS:
        return abstain_permille
    probability, right = np.array(sure, dtype=np.float64).T
    asked = np.arange(NEVER_SURE, dtype=np.float64)
    # In whole 1/1000, since the same votes added up in another order differ by a hair.
    enough = 1_000 * Isotonic.fit(np.rint(1_000 * probability), right)(asked) >= abstain_permille
    return int(asked[enough][0]) if enough.any() else NEVER_SURE


def _most(samples: list[int]) -> int:
    """Returns the action that a member named most often, of those the first; MISSING where it named none."""
    named = Counter(number for number in samples if number != MISSING)
    return named.most_common(1)[0][0] if named else MISSING


def lower_bound(right: float, calls: float, z: float = 1.96) -> float:
    """Returns the lower end of Wilson's 95% interval of a share, 0 without a call."""
    if not calls:
        return 0.0
    share, weight = right / calls, z * z / calls
    middle = share + weight / 2
    half = z * float(np.sqrt(share * (1 - share) / calls + weight / (4 * calls)))
    return (middle - half) / (1 + weight)
