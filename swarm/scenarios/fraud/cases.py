"""Joins suspicious payments to cases: those that share a customer within two days belong together."""

from swarm.scenarios.fraud.payments import DAY, Int64, Payments

WINDOW_MINUTES = 2 * DAY
FORGET_AT = 50_000


class Cases:
    """The cases so far, by the customers that they touched last."""

    def __init__(self) -> None:
        self.count = 0
        # Account -> (its latest case, when).
        self._latest: dict[int, tuple[int, int]] = {}

    def join(self, payments: Payments, rows: Int64) -> list[int]:
        """Returns the case of each of these suspicious payments, which come in the order of their time."""
        found = []
        for row in rows.tolist():
            minute = int(payments.minute[row])
            # The counter and the world outside touch everybody, and join nothing.
            touched = [int(side) for side in (payments.sender[row], payments.receiver[row]) if payments.own[side]]
            # The sender's case, if both have one, so that the order of time alone decides.
            recent = [
                case
                for case, when in (self._latest.get(account, (-1, 0)) for account in touched)
                if case >= 0 and minute - when <= WINDOW_MINUTES
            ]
            case = recent[0] if recent else self.count
            self.count += not recent
            for account in touched:
                self._latest[account] = (case, minute)
            found.append(case)
        if len(self._latest) > FORGET_AT and found:
            # What is older than the window joins nothing any more.
            last = int(payments.minute[rows[-1]])
            self._latest = {a: (c, m) for a, (c, m) in self._latest.items() if last - m <= WINDOW_MINUTES}
        return found
