"""The cases of a run: each rule of each set, put to each contract, with the sentences that are candidates for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swarm.errors import ConfigError
from swarm.scenarios.contract.clauses import Structure
from swarm.scenarios.contract.config import ContractConfig, document_of
from swarm.scenarios.contract.index import Index
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.reading import Document
from swarm.scenarios.contract.rule_sets import Rule, RuleSet
from swarm.scenarios.contract.screener import ScreenerError, Told, load

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@lru_cache(maxsize=64)
def index_of(text: str) -> Index:
    """Returns the index of a text; those of the last texts are kept, since every rule asks for one."""
    return Index(Structure(text))


@lru_cache(maxsize=64)
def told_by(path: str, sha256: str, text: str) -> dict[str, Told]:
    """Returns what a screener says of a text, by topic; the last ones are kept, since every rule asks for one."""
    return load(Path(path), sha256).read(index_of(text))


@dataclass(eq=False)
class Cases:
    """All cases, contract by contract, set by set, rule by rule."""

    documents: tuple[Document, ...]
    sets: tuple[RuleSet, ...]
    candidates: int
    characters: int
    screener: tuple[str, str] = ("", "")
    """A trained screener's file and its digest."""

    topics: frozenset[str] = frozenset()
    """The topics that it knows; none where there is no screener."""

    @classmethod
    def of(cls, config: ContractConfig) -> "Cases":
        """Returns the cases of a config."""
        documents = tuple(document_of(kept) for kept in config.contracts)
        kept = config.screener, config.screener_sha256
        topics = frozenset(config.screener_topics)
        return cls(documents, config.sets, config.candidates, config.candidate_characters, kept, topics)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of all sets, in order."""
        return tuple(rule for one in self.sets for rule in one.rules)

    @cached_property
    def set_of_rule(self) -> Int64:
        """[rules]: the set of each."""
        return np.repeat(np.arange(len(self.sets)), [len(one.rules) for one in self.sets])

    def __len__(self) -> int:
        return len(self.documents) * len(self.rules)

    @cached_property
    def contract(self) -> Int64:
        """[cases]: the contract of each."""
        return np.repeat(np.arange(len(self.documents)), len(self.rules))

    @cached_property
    def set(self) -> Int64:
        """[cases]: the set of each."""
        return np.tile(self.set_of_rule, len(self.documents))

    @cached_property
    def weight(self) -> Int64:
        """[cases]: the weight of each."""
        return np.tile(np.array([rule.weight for rule in self.rules], dtype=np.int64), len(self.documents))

    @cached_property
    def applies(self) -> Mask:
        """[cases]: whether the rule applies under the law that governs the contract."""
        return np.array(
            [
                self._applies(contract, rule)
                for contract in range(len(self.documents))
                for rule in range(len(self.rules))
            ]
        )

    def _applies(self, contract: int, rule: int) -> bool:
        own, law = self.sets[int(self.set_of_rule[rule])], self.index(contract).structure.law
        # A rule of some laws alone waits until a contract names one of them.
        only = self.rules[rule].laws
        return own.applies(own.laws, law) and (not only or law in only)

    def index(self, contract: int) -> Index:
        """Returns the index of a contract."""
        return index_of(self.documents[contract].text)

    def rule(self, case: int) -> Rule:
        """Returns the rule of a case."""
        return self.rules[case % len(self.rules)]

    def set_for(self, case: int) -> RuleSet:
        """Returns the set of a case."""
        return self.sets[int(self.set[case])]

    def document(self, case: int) -> Document:
        """Returns the contract of a case."""
        return self.documents[case // len(self.rules)]

    def index_for(self, case: int) -> Index:
        """Returns the index of a case's contract."""
        return self.index(case // len(self.rules))

    def name(self, case: int) -> str:
        """Returns the case as a config's `decided` names it."""
        return f"{self.document(case).name}/{self.set_for(case).id}/{self.rule(case).id}"

    def told(self, case: int) -> Told | None:
        """Returns what the screener says of a case's topic; None where it does not know it."""
        if self.rule(case).topic not in self.topics:
            return None
        try:
            return told_by(*self.screener, self.document(case).text)[self.rule(case).topic]
        except ScreenerError as error:
            raise ConfigError("scenario.screener", str(error)) from error

    def shown(self, case: int) -> tuple[Span, ...]:
        """Returns the pieces of text that a model is shown, the likeliest first; a long sentence is cut at a word."""
        index = self.index_for(case)
        return shown_of(index, index.nearest(self.rule(case), self.candidates), self.characters)

    def decided(self, config: ContractConfig, codes: dict[str, int]) -> Int64:
        """Returns [cases] what a lawyer or a key has decided, -1 where nothing; ConfigError for an unknown case."""
        # By name, only where somebody has decided anything.
        names = {self.name(case): case for case in range(len(self))} if config.decided else {}
        found = np.full(len(self), -1)
        for name, verdict in config.decided.items():
            if name not in names:
                raise ConfigError("scenario.decided", f"there is no case {name[:80]!r}", "write CONTRACT/SET/RULE")
            found[names[name]] = codes[verdict]
        return found


def shown_of(index: Index, sentences: Sequence[int], characters: int) -> tuple[Span, ...]:
    """Returns what of these sentences has room in so many characters; only the first one is cut, at a word."""
    left = characters
    found: list[Span] = []
    for sentence in sentences:
        start, end = index.spans[sentence]
        # The first is shown as far as there is room, the others only whole.
        if end - start > left and found:
            continue
        if end - start > left:
            end = index.structure.text.rfind(" ", start, start + left) if left > 40 else start + left
            end = end if end > start else start + left
        found.append((start, end))
        left -= end - start
    return tuple(found)
