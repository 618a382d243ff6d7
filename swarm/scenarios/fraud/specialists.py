"""Eight specialists, a rule each: a score by payment that grows with suspicion, and 0 where the rule sees nothing.

Thresholds are chosen by what each kind of fraud is, and fitted to no payments.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from swarm.scenarios.fraud.features import TINY_CENTS
from swarm.scenarios.fraud.joined import COLUMN
from swarm.scenarios.fraud.payments import CARD, KINDS, TRANSFER

Float64 = npt.NDArray[np.float64]

LOG_TINY = float(np.log(TINY_CENTS))


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
    night = (f.channel == TRANSFER) * (f.hour < 7) * (f.new_payee > 0)
    # By the day's end the first of them is known by the others.
    score: Float64 = night * (f.payer_paid_new_payees_24h >= 2) * f.payer_paid_new_payees_24h * (0.3 + unlike)
    return score


def structuring(f: Figures) -> Float64:
    """Cash just below the limit, again within days."""
    score: Float64 = f.near_limit * f.payee_got_near_limit_4d
    return score


def fan_in(f: Figures) -> Float64:
    """Large transfers of many payers to one within two days, and their sum leaving the bank."""
    payers = f.payee_got_payers_48h
    # Rent and bills gather as well, but from payers that always paid them.
    large = (f.channel == TRANSFER) * (f.leaves_bank == 0) * (f.log_cents > 9.7) * (f.new_payee > 0)
    gathers = large * (payers >= 3) * np.minimum(payers, 10)
    leaves = (f.leaves_bank > 0) * (f.log_cents > 11.5) * (f.passed_on > 0.7) * (f.passed_on < 1.0)
    score: Float64 = gathers + (3.0 + f.payer_got_payers_48h) * leaves
    return score


def fan_out(f: Figures) -> Float64:
    """Much of what came in goes out to several new payees within a day."""
    new = f.payer_paid_new_payees_24h
    spreads = (f.channel == TRANSFER) * (f.passed_on > 0.05) * (f.passed_on < 1.05) * (f.new_payee > 0)
    # What came from outside and was spread by its payee.
    source = (f.channel == TRANSFER) * (f.log_cents > 12.0) * (f.payee_paid_new_payees_24h >= 3)
    through = (f.payee_paid_passed_on > 0.8) * (f.payee_paid_passed_on < 1.05)
    score: Float64 = spreads * (f.log_cents > 9.8) * (new >= 2) * new + source * through * f.payee_paid_new_payees_24h
    return score


def cycle(f: Figures) -> Float64:
    """A payment that closes a ring of ever smaller amounts, or that another one of its day closes."""
    closes = f.closes_ring + 0.5 * (f.payer_got_closes_ring + f.payee_paid_closes_ring > 0)
    score: Float64 = (f.channel == TRANSFER) * (f.leaves_bank == 0) * closes * f.log_cents
    return score


def card_testing(f: Figures) -> Float64:
    """Tiny card payments one after another, and a large one behind them."""
    count = f.payer_paid_tiny_1h
    tries = (f.channel == CARD) * (f.log_cents < LOG_TINY) * (count >= 2) * count
    score: Float64 = tries + 5.0 * (f.channel == CARD) * (f.tiny_1h >= 3) * (f.log_cents > 9.0)
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
    # An account that wakes and passes it on by the end of the day.
    on = (f.payee_paid_passed_on > 0.85) * (f.payee_paid_passed_on < 1.02)
    score: Float64 = wakes * (1.0 + 2.0 * on) + leaves + through
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
