"""Makes the payments of a small bank from a seed: lawful life, and among it eight kinds of fraud."""

import numpy as np
import polars as pl

from swarm.scenarios.fraud import memos
from swarm.scenarios.fraud.payments import DAY, KINDS, Payments, own_accounts
from swarm.scenarios.fraud.planted import plant
from swarm.scenarios.fraud.town import Rows, business, everyday, generator, look_alikes, settle

PAYMENTS_OF_A_PERSON = 0.91
"""Payments a day for each person of the bank, everybody's together over their number."""


def made(
    seed: int, days: int, payments_a_day: int, prevalence_ppm: int, kinds_from: dict[str, int] | None = None
) -> Payments:
    """Returns the payments of so many days; `kinds_from` has the first day of kinds that begin later than on day 0.

    `prevalence_ppm` of a million payments are fraud, within the size of a case; 0: none is.
    """
    # Lawful life first and with a chance of its own, so that it is the same whatever is planted in it.
    rng, rows = generator(seed, "fraud town"), Rows()
    town = settle(rng, max(round(payments_a_day / PAYMENTS_OF_A_PERSON), 100))
    for layer in (everyday, business, look_alikes):
        layer(rng, town, days, rows)
    lawful = sum(len(part[0]) for part in rows.parts)
    plant(generator(seed, "fraud planted"), town, days, round(lawful * prevalence_ppm / 1e6), kinds_from or {}, rows)
    # [8, payments], by time; ties by who pays whom how much, so that the order is one of the payments alone.
    table = np.concatenate([np.stack(part) for part in rows.parts], axis=1)
    table = table[:, table[0] < days * DAY]
    table = table[:, np.lexsort((table[3], table[2], table[1], table[0]))]
    accounts = town.name()
    ids = pl.select(pl.format("pay-{}", pl.int_range(table.shape[1]).cast(pl.String).str.zfill(7))).to_series()
    texts = memos.texts(seed, table[7])
    minute, sender, receiver, cents, channel, kind, case = table[:7]
    own = own_accounts(accounts)
    return Payments(minute, sender, receiver, cents, channel, kind, case, ids, texts, accounts, own, KINDS)
