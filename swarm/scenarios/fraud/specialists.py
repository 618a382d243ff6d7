"""Eight specialists, a rule each: a score by payment that grows with suspicion, and 0 where the rule sees nothing.

Thresholds are chosen by what each kind of fraud is, and fitted to no payments.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from swarm.scenarios.fraud.features import COLUMN
from swarm.scenarios.fraud.payments import CARD, KINDS, TRANSFER

Float64 = npt.NDArray[np.float64]


class Figures:
    """[payments, figures] whose columns are read by name."""

    def __init__(self, table: Float64) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Float64:
        if name not in COLUMN:
            raise AttributeError(name)
        column: Float64 = self._table[:, COLUMN[name]]
        return column


def takeover(f: Figures) -> Float64:
    """Several new payees of one payer at night, in amounts unlike it."""
    unlike = np.clip(f.unlike_sender, 0, 6)
    score: Float64 = (f.channel == TRANSFER) * (f.hour < 7) * (f.sent_1h >= 1) * f.new_payees_24h * unlike
    return score


def structuring(f: Figures) -> Float64:
    """Cash just below the limit, again within days."""
    score: Float64 = f.near_limit * f.near_limit_4d
    return score


def fan_in(f: Figures) -> Float64:
    """Large transfers of many payers to one within two days, and their sum leaving the bank."""
    gathers = (f.channel == TRANSFER) * (f.log_cents > 9.7) * (f.payers_48h >= 3) * f.payers_48h
    leaves = (f.leaves_bank > 0) * (f.log_cents > 11.5) * (f.passed_on > 0.7) * (f.passed_on < 1.0)
    score: Float64 = gathers + 3.0 * leaves
    return score


def fan_out(f: Figures) -> Float64:
    """Much of what came in goes out to several new payees within a day."""
    spreads = (f.channel == TRANSFER) * (f.passed_on > 0.05) * (f.passed_on < 1.05)
    score: Float64 = spreads * (f.log_cents > 9.8) * (f.new_payees_24h >= 2) * f.new_payees_24h
    return score


def cycle(f: Figures) -> Float64:
    """A payment that closes a ring of ever smaller amounts."""
    score: Float64 = f.closes_ring * f.log_cents
    return score


def card_testing(f: Figures) -> Float64:
    """Tiny card payments one after another, and a large one behind them."""
    tries = (f.channel == CARD) * (f.tiny_1h >= 2) * f.tiny_1h
    score: Float64 = tries + 5.0 * (f.tiny_1h >= 3) * (f.log_cents > 9.0)
    return score


def invoice(f: Figures) -> Float64:
    """A bill as of old, to a payee that it never went to."""
    score: Float64 = f.bill_twin * (f.log_cents > 11.0)
    return score


def pass_through(f: Figures) -> Float64:
    """A sum that reaches an idle or new account, or leaves one that it had just reached."""
    idle = f.receiver_idle_days > 25
    leaves = (f.passed_on > 0.85) * (f.passed_on < 1.02) * (f.log_cents > 10.0) * (f.sender_age_days < 2)
    wakes = (f.channel == TRANSFER) * (f.log_cents > 10.5) * (idle + f.receiver_is_new)
    through = (f.passed_on > 0.85) * (f.passed_on < 1.02) * (f.log_cents > 10.0) * (f.leaves_bank > 0)
    score: Float64 = wakes + leaves + through
    return score


SPECIALISTS: dict[str, Callable[[Figures], Float64]] = {
    "takeover": takeover,
    "structuring": structuring,
    "fan_in": fan_in,
    "fan_out": fan_out,
    "cycle": cycle,
    "card_testing": card_testing,
    "invoice": invoice,
    "pass_through": pass_through,
}
"""The specialists by the kind that each looks for, in the order of KINDS."""

if tuple(SPECIALISTS) != KINDS:
    raise RuntimeError("there is one specialist for each kind")
