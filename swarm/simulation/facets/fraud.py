"""What a fraud desk came to: every alert, what was missed, what each watcher earned; of other scenarios, nothing.

Payments without a label are watched and paid for like all others, and stand in no score.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.coordination.intervals import wilson
from swarm.market.orders import Int64
from swarm.scenarios.fraud.alerts import FALSE, FRAUD, VERDICTS
from swarm.scenarios.fraud.bank import STATES
from swarm.scenarios.fraud.desk import FraudDesk
from swarm.scenarios.fraud.engine import READER, SUSPICIOUS, UNUSUAL
from swarm.scenarios.fraud.payments import CHANNELS, DAY, LAWFUL, UNKNOWN
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Columns, Kept, Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

GOODS = ("open", "kept")


class Fraud:
    """The tables `alerts`, a row for each, and `watched`, a row for each round, and what all of it comes to."""

    name = "fraud"

    def __init__(self) -> None:
        self._desk: FraudDesk | None = None
        self._watched = Columns()
        self._bidders: list[str] = []
        # [watchers, kinds and two more] payments that each found suspicious, from those without a label on.
        self._found: Int64 | None = None
        self._rounds = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the desk, where the run is one."""
        if isinstance(plan.scenario, FraudDesk):
            self._desk = plan.scenario

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for the round, and who bid for what was looked at."""
        desk = outcome.plan.scenario
        if not isinstance(desk, FraudDesk) or desk.last is None:
            return
        self._desk, self._rounds, last = desk, outcome.round, desk.last
        # Who bid less for a payment that was bought stands beside the one who bought.
        others = dict(zip(last.bids.row.tolist(), last.bids.others, strict=True))
        for row in last.filed.row.tolist():
            self._bidders.append(", ".join(desk.titles[one] for one in others[row]))
        kind, labels = desk.payments.kind[last.day.rows] - UNKNOWN, len(desk.payments.kinds) - UNKNOWN
        found = np.array([np.bincount(kind[own], minlength=labels) for own in last.day.rarity >= SUSPICIOUS])
        self._found = found if self._found is None else self._found + found
        counts = dict(zip(STATES, desk.bank.counts.tolist(), strict=True))
        looked = set(last.filed.row.tolist())
        self._watched.add(
            {
                "round": np.array([outcome.round]),
                "payments": np.array([last.day.rows.stop - last.day.rows.start]),
                "suspicious": np.array([len(last.day.suspicious)]),
                "not_looked_at": np.array([sum(one not in looked for one in last.day.suspicious.tolist())]),
                "offered": np.array([sum(last.offered)]),
                "sold": np.array([sum(last.sold)]),
                **{name: np.array([number]) for name, number in counts.items()},
                **{f"{name}_cents": np.array([int(desk.bank.cents[i])]) for i, name in enumerate(STATES)},
            }
        )

    def tables(self) -> Kept:
        """Returns the alerts and the rounds; no table where there is no desk."""
        desk = self._desk
        if desk is None or not self._rounds:
            return {}
        found = Columns()
        # [alerts] columns in the order of filing, with names in the place of numbers.
        a, p = desk.alerts, desk.payments
        found.add(
            {
                "round": a.round,
                "payment": np.array(p.ids.gather(a.row).to_list(), dtype=object).astype(str),
                "case": a.case,
                "kind": np.array([_kind(desk, one) for one in a.kind.tolist()], dtype=str),
                "minute": p.minute[a.row] % DAY,
                "sender": np.array([p.accounts[one] for one in p.sender[a.row]], dtype=str),
                "receiver": np.array([p.accounts[one] for one in p.receiver[a.row]], dtype=str),
                "cents": p.cents[a.row],
                "channel": np.array([CHANNELS[one] for one in p.channel[a.row]], dtype=str),
                "watcher": np.array([desk.titles[one] for one in a.watcher], dtype=str),
                "others": np.array(self._bidders[: len(a)], dtype=str),
                "slot": np.array([GOODS[one] for one in a.good], dtype=str),
                "bid_ticks": a.ticks,
                "price_ticks": a.price_ticks,
                "rarity_milli": a.rarity_milli,
                "known_in_round": a.due,
                "verdict": np.array([VERDICTS[one] for one in a.verdict], dtype=str),
                "earned_cents": a.earned_cents,
            }
        )
        return {"alerts": found.table(), "watched": self._watched.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns recall and precision with their intervals, by kind and watcher, and what was not looked at."""
        desk = self._desk
        if desk is None or self._found is None:
            return {}
        p, a = desk.payments, desk.alerts
        rows = p.rows_of(desk.config.days_before, desk.config.days_before + self._rounds)
        kind, looked = p.kind[rows], np.zeros(rows.stop - rows.start, dtype=np.bool_)
        looked[a.row - rows.start] = True
        fraud, known = kind >= 0, kind != UNKNOWN
        # Of those with a label alone.
        hits, labelled = int((looked & fraud).sum()), int((looked & known).sum())
        watched = tables["watched"]
        return {
            "fraud": {
                "payments": rows.stop - rows.start,
                "payments_sha256": p.digest,
                "fraud": int(fraud.sum()),
                "without_label": int((~known).sum()),
                "notices": [*p.notices, *_reached(desk, self._rounds)],
                "alerts": len(a),
                "doubled_alerts": desk.doubled,
                "recall": _share(hits, int(fraud.sum())),
                "precision": _share(hits, labelled),
                "recall_by_kind": {
                    name: _share(int((looked & (kind == i)).sum()), int((kind == i).sum()))
                    for i, name in enumerate(p.kinds)
                },
                "value_saved_cents": int(p.cents[rows][looked & fraud].sum()),
                "value_lost_cents": int(p.cents[rows][~looked & fraud].sum()),
                "false_alerts": int((a.verdict == FALSE).sum()),
                "false_hold_days": int(
                    (np.minimum(a.due, self._rounds) - a.round)[kind[a.row - rows.start] == LAWFUL].sum()
                ),
                "false_hold_cents": int(p.cents[a.row][kind[a.row - rows.start] == LAWFUL].sum()),
                "minutes_to_first_alert": first_alerts(desk, self._rounds),
                "slots_offered": int(watched["offered"].sum()),
                "slots_sold": int(watched["sold"].sum()),
                "suspicious": int(watched["suspicious"].sum()),
                "not_looked_at": int(watched["not_looked_at"].sum()),
                "states": {name: int(watched[name][-1]) for name in STATES},
                "watchers": self._by_watcher(desk),
                "finds": _finds(desk, kind, self._found),
                "read_as": {
                    watcher.title: [str(one) for one in getattr(watcher.model, "conditions", ())]
                    for watcher in desk.engine.watchers
                    if watcher.watch == "described"
                },
            }
        }

    def _by_watcher(self, desk: FraudDesk) -> dict[str, dict[str, int]]:
        a = desk.alerts
        # The later half of the rounds tells who loses money now.
        late = a.round > self._rounds // 2
        return {
            title: {
                "alerts": int((a.watcher == i).sum()),
                "fraud": int(((a.watcher == i) & (a.verdict == FRAUD)).sum()),
                "false": int(((a.watcher == i) & (a.verdict == FALSE)).sum()),
                "paid_cents": int(a.price_ticks[a.watcher == i].sum()) * desk.market.tick_cents,
                "earned_cents": int(a.earned_cents[a.watcher == i].sum()),
                "earned_late_cents": int(a.earned_cents[(a.watcher == i) & late].sum()),
            }
            for i, title in enumerate(desk.titles)
        }


def _reached(desk: FraudDesk, rounds: int) -> tuple[str, ...]:
    """Returns a notice of days that the rounds do not reach, or of rounds that lie behind the last payment."""
    days, watched = int(desk.payments.minute[-1]) // DAY + 1, desk.config.days_before + rounds
    if days > watched:
        count = len(desk.payments) - desk.payments.rows_of(0, watched).stop
        return (f"{count} payments of the {days - watched} days after the last round were not watched",)
    return (f"the last {watched - days} rounds have no payments",) if days < watched else ()


def _finds(desk: FraudDesk, kind: Int64, found: Int64) -> dict[str, Any]:
    """Returns what each watcher found suspicious, looked at or not, and the share of all fraud and of each kind."""
    names = desk.payments.kinds
    # [kinds and two more] payments that there were.
    there = np.bincount(kind - UNKNOWN, minlength=len(names) - UNKNOWN)[-UNKNOWN:].tolist()
    finds = {}
    for title, watcher, own in zip(desk.titles, desk.engine.watchers, found, strict=True):
        # Readers have what the best of the others thinks.
        if watcher.watch == READER:
            continue
        hits = own[-UNKNOWN:].tolist()
        by_kind = {name: _share(hit, of) for name, hit, of in zip(names, hits, there, strict=True)}
        finds[title] = {"payments": int(own.sum()), "recall": _share(sum(hits), sum(there)), "by_kind": by_kind}
    return finds


def _kind(desk: FraudDesk, number: int) -> str:
    return "unusual" if number == UNUSUAL else desk.payments.kinds[number]


def _share(part: int, whole: int) -> dict[str, float | int | None]:
    """Returns a share with its 95% interval by Wilson; no share of nothing."""
    if not whole:
        return {"found": part, "of": whole, "share": None, "low": None, "high": None}
    low, high = wilson(part, whole)
    return {
        "found": part,
        "of": whole,
        "share": round(part / whole, 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def first_alerts(desk: FraudDesk, rounds: int) -> dict[str, Any]:
    """Returns how many cases of fraud were found, and the minutes from a case's first payment to its first alert.

    Alerts come at the end of a day, when slots are sold.
    """
    p, a = desk.payments, desk.alerts
    rows = p.rows_of(desk.config.days_before, desk.config.days_before + rounds)
    cases = np.unique(p.case[rows][p.kind[rows] >= 0])
    took = []
    for case in cases.tolist():
        mine = a.round[p.case[a.row] == case] if len(a) else a.round
        if len(mine):
            begun = int(p.minute[p.case == case].min())
            took.append((desk.config.days_before + int(mine.min())) * DAY - begun)
    return {
        "cases": len(cases),
        "found": len(took),
        "median": float(np.median(took)) if took else None,
        "longest": max(took) if took else None,
    }


FACET = Fraud
