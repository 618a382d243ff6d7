"""Figures of a payment that only the end of its day shows: what else its payer and its payee did on that day.

Slots are sold when a day is over, so nothing of it lies in the future. By these the first payment of a case, which
looks like any other when it is made, is known by those that followed.
"""

import numpy as np
import numpy.typing as npt

from swarm.scenarios.fraud import features
from swarm.scenarios.fraud.payments import CARD, Int64, Payments

Float64 = npt.NDArray[np.float64]

PAID = ("new_payees_24h", "tiny_1h", "passed_on", "times_usual", "closes_ring")
GOT = ("payers_48h", "near_limit_4d", "closes_ring", "log_received_48h")
"""Of which figures an account has the day's highest, among what it paid and among what it got but by card."""

SIDES = ("payer", "payee")
JOINED = tuple(
    f"{side}_{did}_{name}"
    for side in SIDES
    for did, names in (("paid", (*PAID, "times")), ("got", GOT))
    for name in names
)
"""The joined figures by name: such as `payee_paid_passed_on`, how much of what it got the payee passed on that day."""

COLUMN = features.COLUMN | {name: len(features.NAMES) + number for number, name in enumerate(JOINED)}
"""The columns of a payment's own figures and of the joined ones behind them."""


def joined(payments: Payments, rows: slice, figures: Float64) -> Float64:
    """Returns [payments, figures] with the joined figures behind the others; `rows` are of whole days."""
    day = payments.day[rows]
    # [days + 1] where each day begins, and the end.
    edges = np.flatnonzero(np.diff(day, prepend=-1, append=-1)) if len(day) else np.zeros(1, dtype=np.int64)
    parts = [
        _of_a_day(payments, slice(rows.start + int(a), rows.start + int(b)), figures[a:b])
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    return np.concatenate([figures, np.concatenate(parts) if parts else np.empty((0, len(JOINED)))], axis=1)


def _of_a_day(payments: Payments, rows: slice, figures: Float64) -> Float64:
    """Returns [payments, joined] figures of one day."""
    sender, receiver = payments.sender[rows], payments.receiver[rows]
    # [accounts, figures] of the day; the counter and the world outside have none.
    paid = _highest(len(payments.own), sender, figures, PAID)
    paid = np.column_stack([paid, np.bincount(sender, minlength=len(paid))])
    came = payments.channel[rows] != CARD
    got = _highest(len(payments.own), receiver[came], figures[came], GOT)
    account = np.where(payments.own[:, None], np.concatenate([paid, got], axis=1), 0.0)
    return np.concatenate([account[sender], account[receiver]], axis=1)


def _highest(accounts: int, by: Int64, figures: Float64, names: tuple[str, ...]) -> Float64:
    """Returns [accounts, names] the highest of each figure among an account's payments."""
    found = np.zeros((accounts, len(names)))
    np.maximum.at(found, by, figures[:, [features.COLUMN[name] for name in names]])
    return found
