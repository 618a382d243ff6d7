"""Measures the fraud desk on payments of its own generator: what the market finds beside each detector alone.

Each seed's payments are made once; figures and fits are shared among its runs. The seeds are held out: thresholds and
prices were chosen on seeds from 101 on. Nothing here is a language model. Each seed's figures are kept as soon as they
are there, so that a measurement goes on where it was ended.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from swarm.bench.form import Result, paired
from swarm.bench.kept import Kept
from swarm.config_file import resolve
from swarm.coordination.failing_alike import effective_votes, error_correlation
from swarm.errors import ConfigError
from swarm.experiments.statistics import interval
from swarm.planning import compose
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.fraud import learned
from swarm.scenarios.fraud.calibration import Tail
from swarm.scenarios.fraud.config import FraudConfig
from swarm.scenarios.fraud.engine import MOST_BIDS, SUSPICIOUS, Scores, payments_of
from swarm.scenarios.fraud.features import Stream
from swarm.scenarios.fraud.joined import joined
from swarm.scenarios.fraud.payments import CASH_DESK, CHANNELS, KINDS, LAWFUL, NO_CASE, OUTSIDE, Payments, own_accounts
from swarm.scenarios.fraud.specialists import SPECIALISTS, Figures
from swarm.seeding import draw_some, draw_unit

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BEFORE, ROUNDS, A_DAY = 60, 30, 10
LEARNED = (learned.BOOSTING, learned.FOREST)
NO_WATCHERS = ("ceiling", "n_eff", "specialists", "plain_boosting")
GATE = 0.30
"""No single figure or rule may find more of all fraud than this, else the payments could be solved by a line."""


class Figured:
    """Figures that were computed once, as a stream gives them."""

    def __init__(self, table: Float64) -> None:
        self._table, self._taken = table, 0

    def take(self, last: int) -> Float64:
        """Returns the rows before `last` that were not taken yet."""
        found = self._table[self._taken : last]
        self._taken = max(last, self._taken)
        return found


class Remembered:
    """A watcher whose scores of the same payments are computed once."""

    def __init__(self, model: Scores) -> None:
        self._model, self._known = model, dict[bytes, Float64]()

    def scores(self, figures: Float64) -> Float64:
        """Returns [payments] scores."""
        key = sha256(figures.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._model.scores(figures)
        return self._known[key]


@dataclass
class Bank:
    """A seed's payments, their figures and what was fitted to them, and the runs that are played on them."""

    seed: int
    payments: Payments
    figures: Float64
    new_kinds: tuple[str, ...] = ()
    """Kinds that begin with the rounds, where the payments are made."""

    fitted: dict[tuple[str, int], Remembered | None] = field(default_factory=dict)

    @classmethod
    def of(cls, seed: int, new_kinds: tuple[str, ...] = (), lawful: bool = False) -> "Bank":
        """Returns the bank of a seed; a lawful one has no fraud after the days before."""
        config = FraudConfig.model_validate({"new_kinds": new_kinds})
        payments = payments_of(config, seed, ROUNDS)
        if lawful:
            payments = payments.without(payments.fraud & (payments.day >= BEFORE))
        return cls(seed, payments, Stream(payments).take(len(payments)), new_kinds)

    @classmethod
    def read(cls, file: Path, new_kinds: tuple[str, ...] = ()) -> "Bank":
        """Returns the bank of a file of shared payments, without what the new kinds did in the days before."""
        payments = shared(file)
        early = np.isin(payments.kind, [KINDS.index(kind) for kind in new_kinds]) & (payments.day < BEFORE)
        payments = payments.without(early)
        return cls(int(payments.digest[:6], 16), payments, Stream(payments).take(len(payments)))

    @cached_property
    def whole(self) -> Float64:
        """[payments, figures] with the joined ones."""
        return joined(self.payments, slice(0, len(self.payments)), self.figures)

    def fit(self, watch: str, figures: Float64, fraud: Mask, known: Mask) -> Remembered | None:
        """Returns a fitted watcher; the same one for the same days."""
        key = (watch, len(figures))
        if key not in self.fitted:
            model = learned.fit(watch, figures, fraud, known)
            self.fitted[key] = Remembered(model) if model else None
        return self.fitted[key]

    def summary(self, watchers: Sequence[str]) -> Mapping[str, Any]:
        """Returns what a run with these watchers came to."""
        config = resolve(
            {
                "name": "fraud",
                "seed": self.seed,
                "rounds": ROUNDS,
                "population": len(watchers) + 1,
                "scenario": {
                    "name": "fraud",
                    "new_kinds": list(self.new_kinds),
                    "watchers": [{"watch": one} for one in watchers],
                },
                "market": {"max_orders_per_round": MOST_BIDS},
                "traders": {"define": {"watcher": {"mind": "own", "rule": "watcher"}}, "minds": {"watcher": 1}},
            }
        )
        plan = compose(config)
        desk: Any = plan.run.scenario
        desk.given(self.payments, Figured(self.figures), self.fit)
        found: Mapping[str, Any] = play(config, plan=plan).summary["fraud"]
        return found

    @property
    def watched(self) -> Mask:
        """Which payments are of the rounds."""
        watched: Mask = self.payments.day >= BEFORE
        return watched

    def recall(self, scores: Float64, of: Mask | None = None) -> float:
        """Returns the share of fraud among the ten payments of each day that score highest."""
        day, fraud = self.payments.day, self.payments.fraud & self.watched
        fraud = fraud if of is None else fraud & of
        # Equal scores go by lot: by time the night would come first, when there is more fraud than by day.
        lot, found = draw_unit(self.seed, "fraud bench ties", np.arange(len(day))), 0
        for one in range(BEFORE, BEFORE + ROUNDS):
            rows = np.flatnonzero(day == one)
            found += int(fraud[rows[np.lexsort((lot[rows], -scores[rows]))[:A_DAY]]].sum())
        return found / max(int(fraud.sum()), 1)

    def rarities(self) -> dict[str, Float64]:
        """Returns each specialist's rarities over all payments, by the last third of the days before."""
        late = (self.payments.day >= BEFORE * 2 // 3) & ~self.watched
        found = {}
        for kind, rule in SPECIALISTS.items():
            tail, scores = Tail(), rule(Figures(self.whole))
            tail.add(scores[late])
            found[kind] = tail.rarity(scores)
        return found


def shared(file: Path) -> Payments:
    """Returns payments of the shared generator: columns of numbers, account 0 the counter and 1 the world outside."""
    table = pl.read_csv(file)
    kind = np.array([KINDS.index(one) if one else LAWFUL for one in table["kind"].fill_null("").to_list()])
    channel = np.array([CHANNELS.index(one) for one in table["channel"].to_list()])
    minute, sender, receiver, cents, case = (
        table[name].to_numpy() for name in ("minute", "sender", "receiver", "cents", "case")
    )
    accounts = (CASH_DESK, OUTSIDE, *(f"account-{i}" for i in range(2, int(max(sender.max(), receiver.max())) + 1)))
    ids, memos = table["id"].cast(pl.String), pl.Series([""] * len(table))
    own, case = own_accounts(accounts), np.where(kind >= 0, case, NO_CASE)
    return Payments(minute, sender, receiver, cents, channel, kind, case, ids, memos, accounts, own)


def alone(bank: Bank, learn: bool) -> dict[str, float]:
    """Returns the recall of each detector that has all ten slots of a day, and the most that anybody could have."""
    before, p = ~bank.watched, bank.payments
    # Every detector has all ten slots of each day.
    rarity = bank.rarities()
    found = {"specialists": bank.recall(np.max(list(rarity.values()), axis=0))}
    found |= {f"rule_{kind}": bank.recall(own) for kind, own in rarity.items()}
    found["figure"] = max(bank.recall(sign * column) for column in bank.whole.T for sign in (1, -1))
    everything = np.ones(int(before.sum()), dtype=np.bool_)
    for watch in LEARNED if learn else ():
        model = bank.fit(watch, bank.whole[before], p.fraud[before], everything)
        scores = np.zeros(len(p))
        if model:
            scores[bank.watched] = model.scores(bank.whole[bank.watched])
            found[watch] = bank.recall(scores)
    if learn and p.fraud[before].any():
        # The yardstick: one model, all lawful payments, each payment's own figures alone.
        plain, scores = learned.plain(bank.figures[before], p.fraud[before]), np.zeros(len(p))
        scores[bank.watched] = plain.scores(bank.figures[bank.watched])
        found["plain_boosting"] = bank.recall(scores)
    # Ten a day are too few on a day with more fraud than that.
    found["ceiling"] = bank.recall(p.fraud.astype(np.float64))
    # How independent the specialists are: of fraud, who finds it suspicious.
    flags = np.stack([own[p.fraud & bank.watched] >= SUSPICIOUS for own in rarity.values()], axis=1)
    found["n_eff"] = effective_votes(flags.shape[1], error_correlation(flags))
    return found


def drawn(seed: int) -> tuple[str, ...]:
    """Returns the half of the kinds that is new, which the seed draws."""
    picked = draw_some(len(KINDS) // 2, seed, "fraud bench", np.arange(len(KINDS)))
    return tuple(KINDS[i] for i in picked.tolist())


ARMS = ("all", "half", "without", "lawful")
"""All kinds known, half of them new, without each watcher, and a month without fraud; the last two for fewer seeds."""

Make = Callable[..., Bank]
"""Returns the bank of an arm: `new_kinds` begin with the rounds, and a `lawful` one has no fraud in them."""


def played(make: Make, arm: str, new_kinds: tuple[str, ...], learn: bool) -> dict[str, Any]:
    """Returns the figures of one arm."""
    watchers = (*(LEARNED if learn else ()), *KINDS)
    match arm:
        case "without":
            bank = make()
            return {one: bank.summary([w for w in watchers if w != one]) for one in watchers}
        case "lawful":
            return dict(make(lawful=True).summary(watchers))
        case _:
            bank = make(new_kinds=new_kinds if arm == "half" else ())
            return {"swarm": bank.summary(watchers), "alone": alone(bank, learn)}


def measure(
    narrator: Narrator,
    seeds: int = 10,
    knock_outs: int = 10,
    keep: Path | None = None,
    data: Sequence[Path] = (),
) -> list[Result]:
    """Returns recall with all kinds known and with half of them new, the knock-out table, and what analysts ask.

    `knock_outs` seeds have the knock-out table and the lawful month; `data` are files of shared payments.
    """
    learn = True
    try:
        learned.check(0, learned.BOOSTING)
    except ConfigError as error:
        learn = False
        narrator.phase(str(error))
    # By what a bank's payments depend on: how it is made, which kinds are new, and which arms it has.
    banks: list[tuple[list[Any], Make, tuple[str, ...], Sequence[str]]] = [
        (["seed", seed], partial(Bank.of, seed), drawn(seed), ARMS if seed < knock_outs else ARMS[:2])
        for seed in range(seeds)
    ]
    for file in data:
        digest = sha256(file.read_bytes()).hexdigest()
        banks.append((["shared", digest], partial(Bank.read, file), drawn(int(digest[:6], 16)), ARMS[:2]))
    kept, found = Kept(keep), list[dict[str, Any]]()
    for key, make, new_kinds, arms in banks:
        of_all = {}
        for arm in arms:
            value = kept.get([*key, arm, learn])
            if value is None:
                value = played(make, arm, new_kinds, learn)
                kept.put([*key, arm, learn], value)
            of_all[arm] = value
        found.append(of_all["all"] | {arm: of_all[arm] for arm in arms[1:]})
        share, new = (one["swarm"]["recall"]["share"] for one in (of_all["all"], of_all["half"]))
        narrator.phase(f"{key[0]} {str(key[1])[:8]}: recall {share} with all kinds known, {new} with half of them new")
    own, others = found[:seeds], found[seeds:]
    listed = results(own, learn)
    if others:
        listed += _recalls("shared_all", others, 0.93)
        listed += _recalls("shared_half_new", [one["half"] for one in others], 0.88)
    return listed


def results(found: Sequence[Mapping[str, Any]], learn: bool) -> list[Result]:
    """Returns the figures of all seeds with their intervals."""
    listed = [*_recalls("all", found, 0.93), *_recalls("half_new", [one["half"] for one in found], 0.88)]
    # What an analyst asks is told of the runs with all kinds known.
    whole = [one["swarm"] for one in found]
    most = [max(v for k, v in one["alone"].items() if k == "figure" or k.startswith("rule_")) for one in found]
    told = f"of all seeds the most is {max(most):.3f}; a line that finds more would make the set worthless"
    listed.append(_result("fraud_best_single_line", most, "share", "lower", told, GATE))
    listed += [
        _result("fraud_precision", [one["precision"]["share"] for one in whole], "share", "higher", "all kinds known"),
        _result(
            "fraud_value_saved",
            [one["value_saved_cents"] / max(one["value_saved_cents"] + one["value_lost_cents"], 1) for one in whole],
            "share",
            "higher",
            "of the money in fraud",
        ),
        _result(
            "fraud_hours_to_first_alert",
            [(one["minutes_to_first_alert"]["median"] or 0) / 60 for one in whole],
            "h",
            "lower",
            "from a case's first payment, in the middle; slots are sold at the end of a day",
        ),
        _result(
            "fraud_cases_found",
            [one["minutes_to_first_alert"]["found"] / max(one["minutes_to_first_alert"]["cases"], 1) for one in whole],
            "share",
            "higher",
            "cases with an alert",
        ),
        _result("fraud_false_hold_days", [one["false_hold_days"] for one in whole], "days", "lower", "a month"),
        _result("fraud_false_holds", [one["false_hold_cents"] / 100 for one in whole], "", "lower", "money, a month"),
    ]
    if learn:
        for who in ("boosting", "plain_boosting"):
            gaps = [one["swarm"]["recall"]["share"] - one["alone"][who] for one in found]
            listed.append(_result(f"fraud_less_{who}", gaps, "share", "higher", paired(gaps, "recall"), -0.02))
    if lawful := [one["lawful"] for one in found if "lawful" in one]:
        sold = [one["slots_sold"] / one["slots_offered"] for one in lawful]
        listed.append(_result("fraud_lawful_month_sold", sold, "share", "lower", "of slots, in a month without fraud"))
    return [*listed, *_knock_outs([one for one in found if "without" in one])]


def _recalls(name: str, found: Sequence[Mapping[str, Any]], aim: float) -> list[Result]:
    """Returns the recall of the swarm, of each detector alone, and the most that there was to find."""
    swarm = [one["swarm"]["recall"]["share"] for one in found]
    best = [max(v for k, v in one["alone"].items() if k not in NO_WATCHERS) for one in found]
    # Who finds what others miss is worth more than votes, which are no more than there are members.
    votes = np.nanmean([min(one["alone"]["n_eff"], len(KINDS)) for one in found])
    told = f"best single watcher {np.mean(best):.3f}; the eight specialists are worth {votes:.1f} votes or more"
    listed = [_result(f"fraud_{name}_swarm", swarm, "share", "higher", told, aim)]
    for who in ("boosting", "plain_boosting", "specialists", "forest", "ceiling"):
        values = [one["alone"][who] for one in found if who in one["alone"]]
        if values:
            listed.append(_result(f"fraud_{name}_{who}", values, "share", "higher", "alone, ten a day"))
        else:
            note = "needs the extra: pip install 'thousand-token-wood[fraud]'"
            listed.append(Result(f"fraud_{name}_{who}", None, "share", "higher", note=note))
    return listed


def _knock_outs(found: Sequence[Mapping[str, Any]]) -> list[Result]:
    """Returns what the recall of all fraud and of each kind loses without each watcher; depth is a loss of <= 0.10."""
    listed = []
    for gone in found[0]["without"] if found else ():
        # Paired by seed: the same payments with and without it.
        loss = [one["swarm"]["recall"]["share"] - one["without"][gone]["recall"]["share"] for one in found]
        by_kind = {kind: _lost(found, gone, kind) for kind in KINDS}
        worst = max(by_kind, key=lambda kind: by_kind[kind])
        depth = "depth" if by_kind[worst] <= 0.10 else "no depth"
        told = f"{depth}: most is lost of {worst}, {by_kind[worst]:.2f}; " + ", ".join(
            f"{kind} {lost:+.2f}" for kind, lost in by_kind.items()
        )
        listed.append(_result(f"fraud_without_{gone}_loses", loss, "share", "lower", told, 0.10))
    return listed


def _lost(found: Sequence[Mapping[str, Any]], gone: str, kind: str) -> float:
    """Returns by how much the recall of a kind falls without a watcher, all seeds' payments together."""
    # Kinds have few payments a seed, so counts are put together.
    shares = []
    for runs in ([one["swarm"] for one in found], [one["without"][gone] for one in found]):
        of = [one["recall_by_kind"][kind] for one in runs]
        shares.append(sum(one["found"] for one in of) / max(sum(one["of"] for one in of), 1))
    return float(shares[0] - shares[1])


def _result(name: str, values: Sequence[float], unit: str, better: Any, told: str, aim: float | None = None) -> Result:
    # The mean of the seeds with its 95% interval.
    middle, half = interval(list(values)) if len(values) > 1 else (float(values[0]), float("nan"))
    spread = f"+-{half:.3f} over {len(values)} seeds; " if len(values) > 1 else "one seed, no interval; "
    return Result(
        name, round(middle, 4), unit, better, aim, tuple(round(float(v), 4) for v in values), f"{spread}{told}"
    )
