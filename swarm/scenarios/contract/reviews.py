"""What reviewers have filed, case by case, and what it comes to: agreed, escalated, divided, or read by nobody.

A finding's key is (contract, set, rule, reviewer): a family files one for a case and no second one, so that a round
that is resolved twice, resumed or played on several shards files once.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from swarm.scenarios.contract.cases import Cases, Int64
from swarm.scenarios.contract.verdicts import CANT_TELL, NOT_APPLICABLE, NOT_CHECKED, Opinion

OPEN, AGREED, ESCALATED, DIVIDED, ONE_READER, UNREAD, OUTSIDE = range(7)
STATUS = {
    OPEN: "open",
    AGREED: "two agree",
    ESCALATED: "a third decided",
    DIVIDED: "for a person",
    ONE_READER: "one reader",
    UNREAD: "not checked",
    OUTSIDE: "does not apply",
}
FIRST, THIRD = 1, 2
"""In `awarded`: who reads a case first, and who was called where these differ."""


@dataclass(eq=False)
class Reviews:
    """Columns over cases, [cases, families] for what was filed and [cases] for what it came to."""

    awarded: Int64
    verdict: Int64
    sure: Int64
    start: Int64
    end: Int64
    seat: Int64
    stake: Int64
    tries: Int64
    status: Int64
    final: Int64
    final_start: Int64
    final_end: Int64
    by_set: Int64
    """[contracts, sets]: whether families have bid for it."""
    escalated: Int64
    """[contracts]: whether its disagreements have been dealt with."""
    record: Int64
    """[families, sets, 2]: findings that held, and findings that were settled."""
    void: Int64
    """[families]: findings whose quotation was not in the text."""
    failed: Int64
    """[families]: answers that could not be read."""

    @classmethod
    def none(cls, cases: Cases, families: int) -> Self:
        """Returns the state before anybody has read."""
        # Wide columns are [cases, families], flat ones [cases].
        n, contracts, sets = len(cases), len(cases.documents), len(cases.sets)
        wide, flat = (n, families), np.zeros(n, dtype=np.int64)
        zeros = [np.zeros(wide, dtype=np.int64) for _ in range(4)]
        outside = np.where(cases.applies, OPEN, OUTSIDE)
        return cls(
            zeros[0],
            np.full(wide, NOT_CHECKED),
            zeros[1],
            np.full(wide, -1),
            np.full(wide, -1),
            np.full(wide, -1),
            zeros[2],
            zeros[3],
            outside,
            np.where(cases.applies, NOT_CHECKED, NOT_APPLICABLE),
            flat - 1,
            flat - 1,
            np.zeros((contracts, sets), dtype=np.int64),
            np.zeros(contracts, dtype=np.int64),
            np.zeros((families, sets, 2), dtype=np.int64),
            np.zeros(families, dtype=np.int64),
            np.zeros(families, dtype=np.int64),
        )

    def copy(self) -> Self:
        """Returns the same in arrays of its own."""
        return type(self)(*(getattr(self, f.name).copy() for f in fields(self)))

    def file(self, case: int, family: int, seat: int, opinion: Opinion, stake: int) -> None:
        """Takes a finding in."""
        self.verdict[case, family], self.sure[case, family] = opinion.verdict, opinion.sure_permille
        self.start[case, family], self.end[case, family] = opinion.span
        self.seat[case, family], self.stake[case, family] = seat, stake

    def waiting(self, family: int, tries: int) -> Int64:
        """Returns the cases that a family was awarded and has not read, nor failed at too often."""
        open_ = (self.awarded[:, family] > 0) & (self.verdict[:, family] == NOT_CHECKED)
        return np.flatnonzero(open_ & (self.tries[:, family] < tries) & (self.status == OPEN))

    def readers(self, case: int) -> list[int]:
        """Returns the families that have filed a finding for a case, first readers before a third."""
        # First readers have rank 1, a third has 2.
        filed = np.flatnonzero(self.verdict[case] != NOT_CHECKED)
        return sorted(filed.tolist(), key=lambda family: (int(self.awarded[case, family]), family))

    def still_read(self, case: int, tries: int) -> bool:
        """Tells whether somebody who was awarded a case may still file a finding."""
        pending = (self.awarded[case] > 0) & (self.verdict[case] == NOT_CHECKED) & (self.tries[case] < tries)
        return bool(pending.any())

    def come_to(self, case: int) -> tuple[int, int, int, int] | None:
        """Returns status, verdict and span once all who were asked have read; None where a third could decide."""
        readers = self.readers(case)
        if not readers:
            return UNREAD, NOT_CHECKED, -1, -1
        verdicts = [int(self.verdict[case, family]) for family in readers]
        if len(readers) == 1:
            return (ONE_READER, verdicts[0], *self._span(case, readers))
        # The verdict that most have, among equals the one that was said first.
        common = max(verdicts, key=lambda verdict: (verdicts.count(verdict), -verdicts.index(verdict)))
        # Two who cannot tell agree on nothing.
        if verdicts.count(common) >= 2 and common != CANT_TELL:
            agreeing = [family for family, verdict in zip(readers, verdicts, strict=True) if verdict == common]
            # Who has nothing to show does not outvote who quotes the text: that is for a person.
            shown = {bool(self.start[case, family] >= 0) for family in agreeing}
            against = [f for f in readers if f not in agreeing and self.start[case, f] >= 0]
            if shown == {False} and against:
                return DIVIDED, CANT_TELL, *self._span(case, against)
            return (AGREED if len(readers) == 2 else ESCALATED, common, *self._span(case, agreeing))
        return None if len(readers) == 2 else (DIVIDED, CANT_TELL, -1, -1)

    def _span(self, case: int, families: list[int]) -> tuple[int, int]:
        """Returns the shortest of the spans that families quote."""
        # What is shortest shows most plainly what was found.
        spans = [(int(self.start[case, f]), int(self.end[case, f])) for f in families]
        quoted = [span for span in spans if span[0] >= 0]
        return min(quoted, key=lambda span: span[1] - span[0]) if quoted else (-1, -1)

    def close(self, case: int, outcome: tuple[int, int, int, int]) -> None:
        """Ends a case."""
        self.status[case], self.final[case], self.final_start[case], self.final_end[case] = outcome

    def remember(self, case: int, set_: int, truth: int) -> None:
        """Adds to the record what readers said of a case whose verdict is known."""
        for family in self.readers(case):
            self.record[family, set_] += (int(self.verdict[case, family] == truth), 1)
