"""The scenario `contract`: reviewers read rules against a contract, stake on what they find, and earn by what holds.

A case is a rule put to a contract. Families of reviewers bid for rule sets, two of them read each rule, agreement
settles it, disagreement buys a third reading as long as there are any left, and all else is left to a person.
"""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Observation
from swarm.agents.plan import OwnRule
from swarm.errors import ScenarioError
from swarm.market.config import MarketConfig
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import Orders
from swarm.scenarios.contract import award, books
from swarm.scenarios.contract.ballot import form_of
from swarm.scenarios.contract.cases import Cases
from swarm.scenarios.contract.config import ContractConfig, ReviewerConfig
from swarm.scenarios.contract.form import NAME
from swarm.scenarios.contract.quotation import find
from swarm.scenarios.contract.reviews import DIVIDED, FIRST, OPEN, THIRD, Reviews
from swarm.scenarios.contract.rules import CASE, all_rules, unpacked
from swarm.scenarios.contract.verdicts import (
    CANT_TELL,
    CONTRADICTED,
    LETTERS,
    MET,
    MISSING,
    NAMES,
    NOT_CHECKED,
    NOWHERE,
    Opinion,
)
from swarm.scenarios.protocol import (
    Choices,
    Consequence,
    Int64,
    MarketState,
    Resolved,
    ShockMark,
    private_views,
    public_view,
)

TOKENS_A_RULE = 210
"""What a reading is taken to cost in tokens, when families bid."""


class ContractDesk:
    """The cases of a run, the families that read them, and what was filed so far."""

    idle_sentences: Mapping[str, str] = dict.fromkeys(
        ("freeze", "cap", "exile"), "reviewers here put in no orders that could be refused"
    )

    def __init__(self, config: ContractConfig, seed: int, traders: int, rounds: int, market: MarketConfig) -> None:
        self.config, self.seed, self.rounds = config, seed, rounds
        self.cases = Cases.of(config)
        self.decided = self.cases.decided(config, {name: code for code, name in NAMES.items()})
        self.goods: tuple[str, ...] = books.GOODS
        self.papers = books.PAPERS
        self.kinds: tuple[str, ...] = ("reviewer",)
        self.trader_kind: Int64 = np.zeros(traders, dtype=np.int64)
        self.named_accounts: tuple[str, ...] = books.ACCOUNTS
        self.opening_reference_ticks: Int64 = np.ones(1, dtype=np.int64)
        self.shocks: tuple[ShockMark, ...] = ()
        self.dealt: Int64 = np.full(traders, -1)
        self.seated(("reviewer",) * traders)
        self._next: tuple[int, Reviews] | None = None

    def seated(self, minds: tuple[str, ...]) -> None:
        """Takes note of who sits where, before the first round; minds of one family count as one."""
        # By mind the family that it counts for; families are sorted, so that shards and replays number them alike.
        names = {mind: self._bid(mind).family or mind for mind in dict.fromkeys(minds)}
        self.families: tuple[str, ...] = tuple(sorted(set(names.values())))
        self.family: Int64 = np.array([self.families.index(names[mind]) for mind in minds], dtype=np.int64)
        first = [next(mind for mind in names if names[mind] == family) for family in self.families]
        self._claim = np.array([self._bid(mind).claim_permille for mind in first], dtype=np.int64)
        self._cost = np.array([self._bid(mind).cents_per_1000_tokens for mind in first]) * TOKENS_A_RULE / 1_000
        # [families, rules] who reads which: a screener knows the topics that it was taught, all others everything.
        taught = np.array([rule.topic in self.cases.topics for rule in self.cases.rules], dtype=np.bool_)
        self.knows = np.array([taught | (self._bid(mind).reads == "all") for mind in first])
        self.reviews = Reviews.none(self.cases, len(self.families))
        self._deal()

    def _bid(self, mind: str) -> ReviewerConfig:
        return self.config.reviewers.get(mind, ReviewerConfig())

    def forms(self) -> Mapping[str, FormPlugin]:
        """Returns the form `review`."""
        return {NAME: form_of(self.cases)}

    def own_rules(self) -> Mapping[str, OwnRule]:
        """Returns the rules of reviewers that ask no model."""
        return all_rules(self.cases)

    def rules_text(self) -> str:
        """Returns the setting in a sentence."""
        return "You check one rule against a contract."

    def opening(self) -> list[Consequence]:
        """Returns the purses."""
        postings = books.Postings()
        for seat in range(len(self.family)):
            postings.pay("purse", ISSUE, seat, self.config.purse_cents)
        return list(postings.movements())

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """Returns each seat's case; who has one is called."""
        public = public_view(round_, self.rounds, "", (), market, last)
        private = private_views(market, last, ("",) * len(self.dealt), columns={CASE: self.dealt})
        return Observation(public, private.calling(self.dealt >= 0))

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        """Returns stakes and payments; nothing of it holds before `after_clearing`, so asking twice files once."""
        # Copies alone are changed: what is kept stays as it is until the round is over.
        reviews, postings = self.reviews.copy(), books.Postings()
        filed = self._opinions(choices)
        purse = market.balances[:, CASH].copy()
        touched = []
        # Each seat has one case, and what it says of it is its one finding.
        for seat in np.flatnonzero(self.dealt >= 0).tolist():
            case, family = int(self.dealt[seat]), int(self.family[seat])
            touched.append(case)
            reviews.tries[case, family] += 1
            opinion = filed.get(seat)
            if opinion is None:
                reviews.failed[family] += 1
                continue
            checked = self._verified(case, opinion)
            if checked is None:
                # A quotation that is not in the text makes the finding void, whatever else it says.
                reviews.void[family] += 1
                continue
            stake = min(int(purse[seat]), self.config.stake_cents * checked.sure_permille // 1_000)
            purse[seat] -= stake
            reviews.file(case, family, seat, checked, stake)
            postings.take("stake", seat, books.STAKES, stake)
            postings.pay("finding", ISSUE, seat, 1, books.FINDINGS)
        self._settle(reviews, postings, sorted(set(touched)))
        self._next = round_, reviews
        return Resolved(Orders.empty(), tuple(postings.movements()))

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """Takes the round over, and deals the next cases; its postings have been made."""
        if self._next is None or self._next[0] != round_:
            raise ScenarioError(f"scenario contract: round {round_} is over before it was resolved")
        self.reviews, self._next = self._next[1], None
        self._deal()
        return []

    def snapshot(self) -> dict[str, Int64]:
        """Returns what was filed, and whose case is which."""
        return {f.name: getattr(self.reviews, f.name).copy() for f in fields(Reviews)} | {"dealt": self.dealt.copy()}

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Goes on from what was filed; ScenarioError where contracts, rules or reviewers were others."""
        if snapshot["awarded"].shape != self.reviews.awarded.shape or len(snapshot["dealt"]) != len(self.dealt):
            raise ScenarioError("scenario contract: a fork keeps contracts, rule sets and reviewers; change other keys")
        self.reviews = Reviews(**{f.name: snapshot[f.name].copy() for f in fields(Reviews)})
        self.dealt = snapshot["dealt"].copy()

    def trader_columns(self) -> dict[str, Int64]:
        """Returns how many findings each seat has filed, and what it has at stake."""
        # [cases, families] who filed each finding.
        seats, filed = len(self.family), self.reviews.seat
        known = filed[filed >= 0]
        open_ = (self.reviews.status == OPEN)[:, None] & (filed >= 0)
        staked = np.bincount(filed[open_], weights=self.reviews.stake[open_], minlength=seats)
        return {"findings": np.bincount(known, minlength=seats), "staked_cents": staked.astype(np.int64)}

    def told(self) -> Mapping[str, str]:
        """Returns how many rules have their verdict, and how many of these are contradicted or missing."""
        final, applies = self.reviews.final, self.cases.applies
        if not (final[applies] != NOT_CHECKED).any():
            return {}
        closed = int((self.reviews.status[applies] != OPEN).sum())
        return {
            "rules": f"{closed} of {int(applies.sum())}",
            "contradicted": str(int((final == CONTRADICTED).sum())),
            "missing": str(int((final == MISSING).sum())),
        }

    def _opinions(self, choices: Choices) -> dict[int, Opinion]:
        """Returns by seat what was said: rules say it by orders, models by letters; a second word is not heard."""
        # By seat; the first word counts.
        said: dict[int, Opinion] = {}
        for seat, chosen in zip(choices.trader.tolist(), choices.chosen, strict=True):
            said.setdefault(seat, chosen)
        orders = choices.orders
        rows = zip(orders.trader.tolist(), orders.limit_ticks.tolist(), orders.quantity_lots.tolist(), strict=True)
        for seat, verdict, number in rows:
            if 1 <= verdict <= len(LETTERS):
                said.setdefault(seat, unpacked(verdict - 1, number))
        return said

    def _verified(self, case: int, opinion: Opinion) -> Opinion | None:
        """Returns an opinion whose span is in the text; None where its quotation is void."""
        text = self.cases.document(case).text
        # A model's quotation is looked up; a line's number and a rule's span are the engine's own offsets.
        if opinion.quote:
            found = find(text, opinion.quote)
            return None if found.span is None else Opinion(opinion.verdict, found.span, opinion.sure_permille)
        start, end = opinion.span
        if opinion.span != NOWHERE and not 0 <= start < end <= len(text):
            return None
        # What is missing has no quotation, and what is found in the text has one, unless a rule bars it.
        needs = opinion.verdict not in {MISSING, CANT_TELL} and not (
            self.cases.rule(case).bars and opinion.verdict == MET
        )
        return None if needs and start < 0 else opinion

    def _settle(self, reviews: Reviews, postings: books.Postings, cases: list[int]) -> None:
        """Ends the cases on which all who were asked have spoken, and has a third read those of most weight."""
        for case in cases:
            if reviews.status[case] == OPEN and not reviews.still_read(case, self.config.tries):
                outcome = reviews.come_to(case)
                if outcome is not None:
                    self._close(reviews, postings, case, outcome)
        for contract in sorted({case // len(self.cases.rules) for case in cases}):
            self._escalate(reviews, postings, contract)

    def _escalate(self, reviews: Reviews, postings: books.Postings, contract: int) -> None:
        """Once all first readings of a contract are in, calls a third for the disagreements of most weight."""
        # [rules] of this contract, those that are open, and whether somebody may still speak.
        own = np.arange(len(self.cases.rules)) + contract * len(self.cases.rules)
        open_ = own[reviews.status[own] == OPEN]
        pending = any(reviews.still_read(case, self.config.tries) for case in open_.tolist())
        if reviews.escalated[contract] or pending or not (reviews.by_set[contract] > 0).all():
            return
        reviews.escalated[contract] = 1
        disputed = sorted(open_.tolist(), key=lambda case: (-int(self.cases.weight[case]), case))
        # Weight first, since readings are scarce; the rest waits for a person.
        for rank, case in enumerate(disputed):
            ranked = self._ranked(reviews, int(self.cases.set[case]))
            others = [f for f in ranked if not reviews.awarded[case, f] and self._knows(f, case)]
            if rank < self.config.escalations and others:
                reviews.awarded[case, others[0]] = THIRD
            else:
                self._close(reviews, postings, case, (DIVIDED, CANT_TELL, -1, -1))

    def _close(self, reviews: Reviews, postings: books.Postings, case: int, outcome: tuple[int, int, int, int]) -> None:
        """Ends a case and pays: by what was decided, else by what two agreed on, else everybody gets its stake back."""
        # A person or a key knows best; else what at least two said holds.
        reviews.close(case, outcome)
        truth = int(self.decided[case])
        if truth < 0 and outcome[1] not in {CANT_TELL, NOT_CHECKED} and len(reviews.readers(case)) > 1:
            truth = outcome[1]
        # Who was right, who was wrong; nobody where nothing is known.
        readers = reviews.readers(case)
        right = [f for f in readers if truth >= 0 and reviews.verdict[case, f] == truth]
        wrong = [f for f in readers if truth >= 0 and f not in right]
        lost = sum(int(reviews.stake[case, f]) for f in wrong)
        for family in readers:
            seat, stake = int(reviews.seat[case, family]), int(reviews.stake[case, family])
            postings.take("finding settled", seat, ISSUE, 1, books.FINDINGS)
            if family not in wrong:
                postings.pay("stake back", books.STAKES, seat, stake)
        # What the wrong have lost is shared by the right; what cannot be shared, the client keeps.
        for family in right:
            seat = int(reviews.seat[case, family])
            postings.pay("stake won", books.STAKES, seat, lost // len(right))
            postings.pay("fee", ISSUE, seat, self.config.fee_cents)
        rest = lost - lost // len(right) * len(right) if right else lost
        postings.between("stake lost", books.STAKES, books.CLIENT, rest)
        if truth >= 0:
            reviews.remember(case, int(self.cases.set[case]), truth)

    def _ranked(self, reviews: Reviews, set_: int) -> list[int]:
        """Returns the families by their bids for a set."""
        claim = award.claims(self._claim, reviews.record[:, set_, 0], reviews.record[:, set_, 1])
        return award.ranked(self._cost, claim)

    def _deal(self) -> None:
        """Gives each seat the next case that its family was awarded; contracts are taken up one after another."""
        # [traders] the case of each; -1 has none.
        self.dealt = np.full(len(self.family), -1)
        seats = [np.flatnonzero(self.family == family) for family in range(len(self.families))]
        reviews = self.reviews
        # Sets are awarded no earlier than somebody is free, so that records of earlier contracts count.
        for contract in np.flatnonzero((reviews.by_set == 0).any(axis=1)).tolist():
            waiting = [reviews.waiting(family, self.config.tries) for family in range(len(self.families))]
            if all(len(cases) >= len(own) for cases, own in zip(waiting, seats, strict=True)):
                break
            for set_ in np.flatnonzero(reviews.by_set[contract] == 0).tolist():
                self._award(contract, set_)
        for family, own in enumerate(seats):
            cases = reviews.waiting(family, self.config.tries)[: len(own)]
            self.dealt[own[: len(cases)]] = cases

    def _award(self, contract: int, set_: int) -> None:
        """Gives each rule of a set of a contract to the two families with the best bids that know it."""
        reviews = self.reviews
        reviews.by_set[contract, set_] = 1
        # The set's cases in this contract, without those that do not apply.
        rules = np.flatnonzero(self.cases.set_of_rule == set_) + contract * len(self.cases.rules)
        rules = rules[reviews.status[rules] == OPEN]
        ranked = self._ranked(reviews, set_)
        for case in rules.tolist():
            knowing = [family for family in ranked if self._knows(family, case)]
            reviews.awarded[case, knowing[:2]] = FIRST

    def _knows(self, family: int, case: int) -> bool:
        return bool(self.knows[family, case % len(self.cases.rules)])
