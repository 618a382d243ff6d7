"""Makes cases of a fraud desk whose truth is known, from drawn banks; it needs no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.llm.engines.embedded import case_tokens, tokenizer
from swarm.scenarios.fraud.config import FraudConfig
from swarm.scenarios.fraud.engine import Engine, payments_of
from swarm.scenarios.fraud.payments import KINDS
from swarm.scenarios.fraud.told import case_told
from swarm.training.corpus import Corpus

FIRST_SEED = 101
"""Banks of this seed and later ones are for schooling; earlier ones are held out for benchmarks."""

CASE_ROWS = 16
A_DAY, CONFIRMED = 10, 4
"""Of how many payments of a day a case is made, the likeliest first, and how many of them the analyst looks at."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case as it is told, the chance that is told in it, and the kind of fraud that it is; LAWFUL for none."""

    text: str
    chance: float
    kind: int


def drawn_bank(seed: int) -> dict[str, Any]:
    """Returns the keys of a small bank that a seed draws: its size, its days before and how much fraud there is."""
    random = np.random.default_rng(seed)
    return {
        "days_before": int(random.integers(18, 36)),
        "payments_a_day": int(random.integers(200, 600)),
        "prevalence_ppm": int(random.integers(3_000, 16_000)),
    }


def cases_of(keys: dict[str, Any], seed: int, rounds: int) -> Iterator[Case]:
    """Yields the likeliest cases of each day of a bank; the likeliest of all are confirmed, as if they were bought."""
    config = FraudConfig.model_validate(keys)
    payments = payments_of(config, seed, rounds)
    engine = Engine(config, payments)
    for round_ in range(1, rounds + 1):
        day = engine.day(round_)
        if not len(day.suspicious):
            continue
        # [payments] what the best watcher thinks, the likeliest first.
        best = day.probability.max(axis=0)
        at = np.lexsort((np.arange(len(best)), -best))[:A_DAY]
        for i in at[best[at] > 0].tolist():
            row = day.rows.start + i
            yield Case(case_told(engine, day, row), float(best[i]), int(payments.kind[row]))
        for i in at[:CONFIRMED].tolist():
            who = int(day.probability[:, i].argmax())
            fraud = bool(payments.fraud[day.rows.start + i])
            engine.confirmed(who, float(day.rarity[who, i]), int(day.agreed[who, i]), fraud)


def corpus_of(cases: Sequence[Case], per_round: int) -> Corpus:
    """Returns cases as examples, as many to a round: `actions` is 1 for fraud, `sayings` the kind, or one more."""
    n = len(cases) // per_round * per_round
    public = np.zeros((n // per_round, 8, tokenizer.WIDTH), dtype=np.int16)
    private = np.zeros((n, CASE_ROWS, tokenizer.WIDTH), dtype=np.int16)
    # [cases, 1] as teachers' answers stand.
    kind = np.array([case.kind for case in cases[:n]])[:, None]
    figures = np.array([round(1_000 * case.chance) for case in cases[:n]], dtype=np.int32)[:, None, None]
    for i, case in enumerate(cases[:n]):
        day, own = case_tokens.encode(case.text)
        public[i // per_round] = tokenizer.grid(day.rows, 8)
        private[i] = tokenizer.grid(own.rows, CASE_ROWS)
    round_of = np.repeat(np.arange(n // per_round), per_round).astype(np.int32)
    sayings = np.where(kind >= 0, kind, len(KINDS)).astype(np.int16)
    ones = np.ones(n, dtype=np.int16)
    return Corpus(public, round_of, private, (kind >= 0).astype(np.int16), sayings, figures, 5 * ones, 9 * ones)
