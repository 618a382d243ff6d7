"""What strategy auctions came to: who worked, what was paid, what memory changed, and whether an auction can pay."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from swarm.coordination.bids import UNKNOWN, Award, Work
from swarm.coordination.staffing.auction import AuctionConfig
from swarm.coordination.strategy_auction import gates
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.auction_outcomes import JudgedBids, auction_turns, section_of
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

MOST_JUDGED = 50_000
"""Most judged auctions that are kept for the gates; what comes later is counted and left to the journal."""

LEAST_JUDGED = 30
"""Judged auctions before anything is said of whether an auction can pay."""

_ROUNDS: dict[str, Any] = {"round": pl.Int64, "model": pl.String, "traders": pl.Int64, "awards": pl.Int64}


class Auctions:
    """Keeps the table `auctions`, who works at which tier by round, and counts of bids, judges and cents."""

    name = "auctions"

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the auction of the run, or of its last fork that has one."""
        found = [section for p in plan.plans() if (section := section_of(p)) is not None]
        self._config: AuctionConfig | None = found[-1] if found else None
        self._rows: list[tuple[int, str, int, int]] = []
        self._counts: Counter[str] = Counter()
        self._awards: Counter[str] = Counter()
        self._first: Counter[str] = Counter()
        self._micro: Counter[str] = Counter()
        self._judged: list[JudgedBids] = []
        self._weights: tuple[int, ...] = ()

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps who worked, and what bids, judges and work took."""
        if self._config is None or (config := section_of(outcome.plan)) is None:
            return
        if config.models != self._config.models:
            return
        turns, calls = outcome.gathered.turns, outcome.gathered.turns.calls
        working: Counter[str] = Counter()
        awards: Counter[str] = Counter()
        rate = dict(zip(config.models, config.price.tolist(), strict=True))
        # [calls] cents at the tiers' prices, and [turns] what each turn took of them.
        price = np.array([rate.get(model, 0.0) for model in turns.models])
        cents = (calls.prompt_tokens + calls.completion_tokens) * price[calls.model] / 1_000
        paid = np.bincount(calls.turn, weights=cents, minlength=len(turns))
        # What the largest would have taken for the same decision: the first prompt of a turn, at its price.
        first = np.zeros(len(turns))
        first[calls.turn[::-1]] = (calls.prompt_tokens + calls.completion_tokens)[::-1] * config.price.max() / 1_000
        for row, turn in auction_turns(turns, config):
            self._micro["largest"] += round(1e6 * first[row])
            if isinstance(turn, Work):
                working[config.models[turn.tier]] += 1
                self._micro["work"] += round(1e6 * paid[row])
                continue
            self._micro["bids"] += round(1e6 * paid[row])
            self._count(turn)
            if turn.winner != UNKNOWN:
                working[config.models[turn.winner]] += 1
                awards[config.models[turn.winner]] += 1
        self._awards.update(awards)
        self._rows += [(outcome.round, model, working[model], awards[model]) for model in config.models]
        judged = [one for one in outcome.judged if isinstance(one, JudgedBids)]
        kept = judged[: MOST_JUDGED - len(self._judged)]
        self._judged += kept
        self._counts["judged_not_kept"] += len(judged) - len(kept)

    def tables(self) -> Tables:
        """Returns who worked at which tier, by round."""
        if self._config is None:
            return {}
        return {"auctions": pl.DataFrame(self._rows, schema=_ROUNDS, orient="row")}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns awards by tier, what was paid beside always the largest, what memory changed, and both gates."""
        if (config := self._config) is None:
            return {}
        traders = tables["auctions"].group_by("model").agg(pl.col("traders").sum())
        turns = dict(traders.iter_rows())
        cents = {name: round(self._micro[name] / 1e6) for name in ("bids", "work", "largest")}
        paid = self._micro["bids"] + self._micro["work"]
        return {
            "auction": {
                "tiers": {
                    tier.model: {
                        "cents_per_1000_tokens": tier.cents_per_1000_tokens,
                        "awards": self._awards[tier.model],
                        "turns": turns.get(tier.model, 0),
                    }
                    for tier in config.tiers
                },
                "rounds": config.rounds,
                **{name: self._counts[name] for name in sorted(self._counts)},
                "bids_cents": cents["bids"],
                "work_cents": cents["work"],
                "always_largest_cents": cents["largest"],
                "saving": round(1 - paid / self._micro["largest"], 4) if self._micro["largest"] else None,
                "weights_permille": list(self._weights),
                **self._gates(config),
            }
        }

    def _count(self, award: Award) -> None:
        self._counts["auctions"] += 1
        self._counts["nobody_bid"] += award.winner == UNKNOWN
        self._counts["missing_bids"] += sum(not bid.made for bid in award.first.bids)
        self._counts["judged_by_tiers"] += any(award.first.votes)
        self._counts["refined"] += award.refined is not None
        self._counts["memory_changed_winner"] += award.by_refined
        self._weights = award.weights_permille

    def _gates(self, config: AuctionConfig) -> dict[str, Any]:
        """Whether an auction can pay here, by what the bids were worth."""
        if (judged := len(self._judged)) < LEAST_JUDGED:
            return {"judged": judged, "can_pay": f"Too few auctions were judged to say whether one can pay: {judged}."}
        right = np.stack([one.right for one in self._judged])
        claim = np.stack([one.claim_permille for one in self._judged]).astype(np.float64)
        # Difficulty is how many actions there are to choose from.
        bins = np.array([one.actions for one in self._judged])
        found = gates(right, claim, bins, config.price)
        return {
            "judged": len(self._judged),
            "right": {model: round(float(right[:, t].mean()), 4) for t, model in enumerate(config.models)},
            "oracle_gap": round(found.gap, 4),
            "bid_auc": None if np.isnan(found.auc) else round(found.auc, 4),
            "can_pay": found.sentence,
        }


FACET = Auctions
