"""Tells a case in at most twelve lines: what was paid, by whom to whom, what is usual, and who finds it suspicious.

Everything is computed but the memos, which are strangers' text: on one line, cut short, in quotes of their own.
"""

import numpy as np

from swarm.scenarios.fraud.calibration import LEAST_RARITY
from swarm.scenarios.fraud.engine import READER, Day, Engine
from swarm.scenarios.fraud.payments import CHANNELS, DAY, Payments

MOST_PAYMENTS, MOST_MEMO = 4, 60


def memo_told(memo: str) -> str:
    """Returns a memo as it is shown: no line breaks, nothing that ends its quotes, at most so many characters."""
    # Whatever a stranger writes stays one quoted run of characters.
    shown = "".join(c if c.isprintable() else " " for c in memo)
    shown = " ".join(shown.replace('"', "'").split())
    return f'"{shown[:MOST_MEMO]}"' if shown else "none"


def payment_told(payments: Payments, row: int) -> str:
    """Returns a payment in one line, without its memo."""
    minute = int(payments.minute[row])
    sender, receiver = (payments.accounts[int(side[row])] for side in (payments.sender, payments.receiver))
    return (
        f"{payments.ids[row]}: {int(payments.cents[row]) / 100:,.2f} by {CHANNELS[int(payments.channel[row])]} at "
        f"{minute % DAY // 60:02d}:{minute % 60:02d} from {sender} to {receiver}"
    )


def case_told(engine: Engine, day: Day, row: int) -> str:
    """Returns the case of a payment."""
    payments = engine.payments
    case = day.case_of.get(row, -1)
    rows = [one for one, of in day.case_of.items() if of == case and one != row] if case >= 0 else []
    rows = sorted({row, *rows[: MOST_PAYMENTS - 1]})
    # Three lines at least, and twelve at most: four payments and four finders.
    lines = [f"CASE {case}: {payments.ids[row]} is asked about"]
    for one in rows:
        lines.append(f"PAYMENT {payment_told(payments, one)}")
    lines.append(f"MEMO {memo_told(payments.memos[row])}")
    # Who finds it rare, the rarest first.
    at = row - day.rows.start
    found = [
        (float(day.rarity[number, at]), watcher.title)
        for number, watcher in enumerate(engine.watchers)
        if watcher.watch != READER and day.rarity[number, at] >= LEAST_RARITY
    ]
    for rarity, title in sorted(found, reverse=True)[:4]:
        lines.append(f"FOUND by {title}: one payment in {10**rarity:,.0f} looks so")
    best = float(np.max(day.probability[:, at]))
    lines.append(f"CHANCE {best:.2f} by what was confirmed of such payments so far")
    return "\n".join(lines)
