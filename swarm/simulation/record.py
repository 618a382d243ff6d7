"""What is kept of a run: the columns gathered round by round, the tables and the summary made of them.

Tables are Parquet files, one row per thing that happened. Prices are in ticks, cash and wealth in cents, quantities in
lots, durations in seconds. Where a table of traders by round would grow beyond TRADER_ROWS it keeps every k-th round
and the last one, and the summary says which.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from swarm.agents.decision import DecisionError
from swarm.agents.desk_trace import Trace
from swarm.coordination.governor import Level
from swarm.coordination.router import PruneReason
from swarm.coordination.standing import REASONS
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import Int64
from swarm.market.quality import gini
from swarm.scenarios.protocol import MarketState
from swarm.simulation.attention import Attended
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.market import MarketClosing
from swarm.simulation.measures import measures
from swarm.simulation.plan import RunPlan

TRADER_ROWS = 2_000_000
STEP_ROWS = 200_000
"""Most rows of the table of desks' steps; beyond them the oldest rounds are left to the journal."""

ATTENDED = (
    "asked",
    "asleep",
    "held_back",
    "standing_orders",
    "cut_lots",
    "refused_orders",
    "unheard",
)
"""What is counted of a round's `Attended`."""

TABLES = ("prices", "trades", "traders", "decisions", "tokens", "rounds", "steps")
REGION_TABLES = ("regions", "road")
"""Tables that a run of several regions has besides."""

_STEPS: dict[str, Any] = {
    "round": pl.Int64,
    "trader": pl.Int64,
    "desk": pl.String,
    "step": pl.Int64,
    "tool": pl.String,
    "reply": pl.String,
    "result": pl.String,
    "fault": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A finished or interrupted run, ready to be written."""

    summary: dict[str, Any]
    tables: Mapping[str, pl.DataFrame]


class Recorder:
    """A watcher that gathers what the tables and the summary need."""

    def __init__(self) -> None:
        self._columns: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES if name != "steps"}
        self._steps: deque[list[tuple[Any, ...]]] = deque()
        self._step_rows = 0
        self.faults: dict[str, Counter[str]] = {}
        self.errors: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self.resting: Counter[str] = Counter()
        self.pruned: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.due: Counter[str] = Counter()
        self.attended: Counter[str] = Counter()
        self.late_by_mind: Counter[str] = Counter()
        self._last_attended = Attended()
        self.paces: list[tuple[int, Level]] = []
        self.late = 0
        self.fills = 0
        self.volume_lots = 0
        self.rounds_done = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keep what the run began with."""
        self.plan = plan
        self._goods = np.array(plan.scenario.goods)
        self._kinds = np.array(plan.scenario.kinds)[plan.scenario.trader_kind]
        self._minds = np.array(plan.minds)
        desks = plan.shard.desks
        self.faults = {name: Counter() for name in desks}
        self._every = max(1, -(-plan.rounds * plan.traders // TRADER_ROWS))
        self._opening = opening.balances
        self._opening_gini = gini(wealth_cents(plan, opening)[: plan.present(0)])
        self._state = opening
        self._opening_named = named
        self._named = named
        self._keep_traders(0, opening, plan.scenario.trader_columns())

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keep one round."""
        self.rounds_done = outcome.round
        self._minds = np.array(outcome.plan.minds)
        self._state = outcome.state
        self._named = outcome.named_balances
        turns, decisions = outcome.gathered.turns, outcome.gathered.decisions
        errors = [str(e) if e else "" for e in decisions.errors]
        self.errors.update(e for e in errors if e)
        self.repairs.update(str(kind) for kinds in decisions.repairs for kind in kinds)
        if late := len(outcome.gathered.late):
            self.late += late
            self.errors["late"] += late
        overdue = [t for t, e in zip(turns.trader.tolist(), errors, strict=True) if e == DecisionError.ENGINE_DEADLINE]
        self.late_by_mind.update(self._minds[[*overdue, *outcome.gathered.late.tolist()]].tolist())
        attended = outcome.attended
        self._keep_attended(outcome.round, attended)
        self.rejections.update(str(r) for r in outcome.taken.rejected_reason)
        if outcome.cleared.resting:
            left_book = asdict(outcome.cleared.resting)
            # How many are in the book is no count of what happened: the last one stands for the run.
            self.resting["resting"] = left_book.pop("resting")
            self.resting.update(left_book)
        delivery = outcome.delivery
        self.pruned.update({str(reason): n for reason, n in delivery.pruned.items()})
        self.pruned["prompt_full"] += int(turns.pruned_messages.sum())
        self.pruned["cut_to_length"] += decisions.cut_gossip
        said = {"said": delivery.said, "addressed": delivery.addressed, "delivered": delivery.delivered}
        self.messages.update({**said, "tokens": int(delivery.tokens.sum())})
        if attended.unheard:
            self.pruned["run_budget"] += attended.unheard
        cleared, trades = outcome.cleared, outcome.cleared.trades
        self.fills += 2 * len(trades.good)
        self.volume_lots += int(cleared.volume_lots.sum())
        self._columns["prices"].append(
            {
                "round": np.full(len(self._goods), outcome.round),
                "good": self._goods,
                "reference_before_ticks": outcome.reference_before_ticks,
                "clearing_ticks": cleared.clearing_ticks,
                "reference_ticks": outcome.state.reference_ticks,
                "volume_lots": cleared.volume_lots,
                "unfilled_buy_lots": cleared.unfilled_buy_lots,
                "unfilled_sell_lots": cleared.unfilled_sell_lots,
            }
        )
        self._columns["trades"].append(
            {
                "round": np.full(len(trades.good), outcome.round),
                "good": self._goods[trades.good],
                "price_ticks": trades.price_ticks,
                "quantity_lots": trades.quantity_lots,
                "buyer": trades.buyer,
                "seller": trades.seller,
                "buyer_kind": self._kinds[trades.buyer],
                "seller_kind": self._kinds[trades.seller],
                "buyer_mind": self._minds[trades.buyer],
                "seller_mind": self._minds[trades.seller],
            }
        )
        if outcome.round % self._every == 0 or outcome.round == self.plan.rounds:
            self._keep_traders(outcome.round, outcome.state, outcome.trader_columns)
        self._columns["decisions"].append(
            {
                "round": np.full(len(turns), outcome.round),
                "trader": turns.trader,
                "mind": self._minds[turns.trader],
                "error": np.array(errors, dtype=np.str_),
                "repairs": np.array([" ".join(kinds) for kinds in decisions.repairs], dtype=np.str_),
                "steps": np.array(decisions.steps, dtype=np.int64),
                "faults": np.array([" ".join(kinds) for kinds in decisions.faults], dtype=np.str_),
                "orders": np.bincount(decisions.orders.trader, minlength=self.plan.traders)[turns.trader],
                "prompt_tokens": turns.prompt_tokens,
                "completion_tokens": turns.completion_tokens,
                "pruned_messages": turns.pruned_messages,
                "latency_s": turns.latency_s,
                "cached_prompt_tokens": turns.cached_prompt_tokens,
                "shared_prompt_tokens": turns.shared_prompt_tokens,
            }
        )
        self._columns["rounds"].append(
            {
                "round": np.array([outcome.round]),
                "traders": np.array([self.plan.present(outcome.round)]),
                "season": np.array([outcome.season], dtype=np.str_),
                "orders": np.array([outcome.submitted]),
                "rejected": np.array([len(outcome.taken.rejected_trader)]),
                "trades": np.array([len(trades.good)]),
                "errors": np.array([sum(1 for e in errors if e)]),
                "late": np.array([late]),
                "messages_said": np.array([delivery.said]),
                "messages_addressed": np.array([delivery.addressed]),
                "messages_delivered": np.array([delivery.delivered]),
                "message_tokens": np.array([delivery.tokens.sum()]),
                **{f"messages_{reason}": np.array([delivery.pruned.get(reason, 0)]) for reason in PruneReason},
                **{f"due_{reason}": np.array([attended.due.get(reason, 0)]) for reason in REASONS},
                **{name: np.array([getattr(attended, name)]) for name in ATTENDED},
                "level": np.array([int(attended.level)]),
                "spent_tokens": np.array([attended.spent_tokens]),
                "spent_usd": np.array([attended.spent_usd]),
                "duration_s": np.array([outcome.duration_s]),
                "decide_s": np.array([outcome.decide_s]),
                "clear_s": np.array([outcome.clear_s]),
            }
        )
        self._keep_tokens(outcome)
        self._keep_steps(outcome)

    def finish(self, closing: MarketClosing, extra: Mapping[str, Any]) -> RunRecord:
        """The record of all rounds so far; `extra` is what only the caller knows."""
        tables = {
            name: pl.DataFrame(
                {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {}
            )
            for name, parts in self._columns.items()
        }
        rows = [row for part in self._steps for row in part]
        tables["steps"] = pl.DataFrame(rows, schema=_STEPS, orient="row")
        return RunRecord(self._summary(tables, closing, extra), tables)

    def _keep_traders(self, round_: int, state: MarketState, columns: dict[str, Int64]) -> None:
        present = self.plan.present(round_)
        rows: dict[str, npt.NDArray[Any]] = {
            "round": np.full(self.plan.traders, round_),
            "trader": np.arange(self.plan.traders),
            "kind": self._kinds,
            "mind": self._minds,
            "cash_cents": state.balances[:, CASH],
            "wealth_cents": wealth_cents(self.plan, state),
            **{f"{good}_lots": state.balances[:, g + 1] for g, good in enumerate(self.plan.scenario.goods)},
            **columns,
        }
        self._columns["traders"].append({name: column[:present] for name, column in rows.items()})

    def _keep_tokens(self, outcome: RoundOutcome) -> None:
        turns, shard = outcome.gathered.turns, outcome.plan.shard
        desks, cheaper = shard.desks, shard.cheaper if outcome.attended.level >= Level.CHEAPER else {}
        thinks_with = {mind: desks[mind].model if mind in desks else mind for mind in dict.fromkeys(shard.minds)}
        models = np.array(
            [cheaper.get(m, m) for m in (thinks_with[mind] for mind in self._minds[turns.trader].tolist())],
            dtype=np.str_,
        )
        names = np.array(sorted(set(models.tolist())), dtype=np.str_)
        groups = [np.flatnonzero(models == name) for name in names]
        self._columns["tokens"].append(
            {
                "round": np.full(len(names), outcome.round),
                "model": names,
                "turns": np.array([len(g) for g in groups], dtype=np.int64),
                "prompt_tokens": np.array([turns.prompt_tokens[g].sum() for g in groups], dtype=np.int64),
                "completion_tokens": np.array([turns.completion_tokens[g].sum() for g in groups], dtype=np.int64),
                "cached_prompt_tokens": np.array([turns.cached_prompt_tokens[g].sum() for g in groups], dtype=np.int64),
                "shared_prompt_tokens": np.array([turns.shared_prompt_tokens[g].sum() for g in groups], dtype=np.int64),
            }
        )

    def _keep_attended(self, round_: int, attended: Attended) -> None:
        self.due.update(attended.due)
        self.attended.update({name: getattr(attended, name) for name in ATTENDED})
        if attended.level != (self.paces[-1][1] if self.paces else Level.ALL):
            self.paces.append((round_, attended.level))
        self._last_attended = attended

    def _keep_steps(self, outcome: RoundOutcome) -> None:
        turns, decisions = outcome.gathered.turns, outcome.gathered.decisions
        rows: list[tuple[Any, ...]] = []
        for i, trader in enumerate(turns.trader.tolist()):
            desk = self.plan.minds[trader]
            if desk not in self.faults:
                continue
            self.faults[desk].update(str(kind) for kind in decisions.faults[i])
            for number, step in enumerate(Trace.from_text(turns.text[i]).steps, 1):
                called = (step.tool, step.reply, step.result, step.fault, step.prompt_tokens, step.completion_tokens)
                rows.append((outcome.round, trader, desk, number, *called))
        self._steps.append(rows)
        self._step_rows += len(rows)
        while self._step_rows > STEP_ROWS and len(self._steps) > 1:
            self._step_rows -= len(self._steps.popleft())

    def _desks(self, decisions: pl.DataFrame) -> dict[str, Any]:
        """What turns at each desk took, in steps and in tokens of all their steps."""
        minds = Counter(self.plan.minds)
        found: dict[str, Any] = {}
        for name, desk in self.plan.shard.desks.items():
            turns = decisions.filter(pl.col("mind") == name) if len(decisions) else decisions
            steps = _column(turns, "steps")
            spent = _column(turns, "prompt_tokens") + _column(turns, "completion_tokens")
            found[name] = {
                "model": desk.model,
                "traders": minds[name],
                "turns": len(turns),
                "steps": {"mean": _mean(steps), "max": _most(steps), "bound": desk.max_steps},
                "tokens": {"mean": _mean(spent), "max": _most(spent), "budget": desk.max_tokens},
                "faults": dict(sorted(self.faults[name].items())),
            }
        return found

    def _summary(
        self, tables: Mapping[str, pl.DataFrame], closing: MarketClosing, extra: Mapping[str, Any]
    ) -> dict[str, Any]:
        plan = self.plan
        durations = _column(tables["rounds"], "duration_s")
        decided = tables["decisions"]
        # A desk's turn has a budget of its own, so it is left out where turns are held against the one of a prompt.
        single = decided.filter(~pl.col("mind").is_in(list(plan.shard.desks))) if len(decided) else decided
        spent = _column(single, "prompt_tokens") + _column(single, "completion_tokens")
        wealth = wealth_cents(plan, self._state)[: plan.present(self.rounds_done)]
        return {
            "name": plan.name,
            "scenario": plan.scenario_name,
            "seed": plan.seed,
            "goods": list(plan.scenario.goods),
            "tick_cents": plan.market.config.tick_cents,
            "kinds": list(plan.scenario.kinds),
            "shocks": [asdict(shock) for shock in plan.scenario.shocks],
            "rounds": self.rounds_done,
            "rounds_planned": plan.rounds,
            "traders": plan.traders,
            "minds": dict(sorted(Counter(plan.minds).items())),
            "engines": {m.name: m.engine for m in plan.models},
            "fills": self.fills,
            "trades": tables["trades"].height,
            "volume_lots": self.volume_lots,
            "journal_sha256": closing.journal_sha256,
            "config_sha256": plan.config_sha256,
            "decision_errors": dict(sorted(self.errors.items())),
            "repaired_replies": dict(sorted(self.repairs.items())),
            "order_rejections": dict(sorted(self.rejections.items())),
            "resting_orders": dict(self.resting),
            "late_turns": self.late,
            "late_turns_by_mind": dict(sorted(self.late_by_mind.items())),
            "pruned_messages": dict(sorted(self.pruned.items())),
            "messages": {"contacts": plan.shard.traders.contacts(plan.traders), **dict(sorted(self.messages.items()))},
            "tokens": {
                "prompt": int(_column(tables["decisions"], "prompt_tokens").sum()),
                "completion": int(_column(tables["decisions"], "completion_tokens").sum()),
                "cached_prompt": int(_column(tables["decisions"], "cached_prompt_tokens").sum()),
                "shared_prompt": int(_column(tables["decisions"], "shared_prompt_tokens").sum()),
                "per_turn": {
                    "mean": _mean(spent),
                    "max": _most(spent),
                    "budget": plan.shard.budget.tokens_per_turn,
                },
                "counted_by": _counted_by(plan),
                "usd": _usd(plan, tables["tokens"]),
            },
            "attention": self._attention(),
            "budget": self._budget(tables["rounds"]),
            "desks": self._desks(decided),
            "seconds_per_round": {"p50": _quantile(durations, 0.5), "p95": _quantile(durations, 0.95)},
            "conservation": self._conservation(),
            "wealth": {"gini_start": round(self._opening_gini, 6), "gini_end": round(gini(wealth), 6)},
            "quality": measures(plan, tables, gini(wealth)),
            "journal": {
                "frames": closing.journal.frames,
                "bytes": closing.journal.bytes,
                "syncs": closing.journal.syncs,
                "sync_s": round(closing.journal.sync_s, 6),
                "snapshots": closing.snapshots.written,
                "market_began_after_round": closing.snapshots.began_after_round,
            },
            "traders_table_every_rounds": self._every,
            **self._population(),
            **extra,
        }

    def _population(self) -> dict[str, Any]:
        """Where traders come and go: how many from which round on, at the end, and how many never left."""
        if not self.plan.population:
            return {}
        steps = [[step.from_round, step.traders] for step in self.plan.population]
        return {
            "population": {
                "schedule": steps,
                "present": self.plan.present(self.rounds_done),
                "stayed": min(traders for first, traders in steps if first <= max(self.rounds_done, 1)),
            }
        }

    def _attention(self) -> dict[str, Any]:
        """How often traders were due and why, asked, held back or asleep, and what stood for them."""
        standing = self.plan.shard.traders.standing
        return {
            "max_stand_rounds": standing.max_rounds,
            "due": {reason: self.due[reason] for reason in REASONS if self.due[reason]},
            **{name: self.attended[name] for name in ATTENDED},
        }

    def _budget(self, rounds: pl.DataFrame) -> dict[str, Any]:
        """The limits of the run, what was spent against them, and at which level its rounds were run."""
        budget, levels = self.plan.shard.budget, Counter(_column(rounds, "level").tolist())
        return {
            "run_tokens": budget.run_tokens,
            "run_usd": budget.run_usd,
            "seconds_per_round": budget.seconds_per_round,
            "spent_tokens": self._last_attended.spent_tokens,
            "spent_usd": round(self._last_attended.spent_usd, 6),
            "rounds_at_level": {level.name.lower(): levels[level] for level in Level if levels[level]},
            "changes_of_level": [[round_, level.name.lower()] for round_, level in self.paces],
        }

    def _conservation(self) -> dict[str, Any]:
        """Start and end of each asset, and what came and went in between; `unexplained` must be 0."""
        names = self.plan.market.named_accounts
        issue = names.index(ISSUE)
        flows = {}
        for asset, name in enumerate(["cash", *self.plan.scenario.goods]):
            start = int(self._opening[:, asset].sum())
            end = int(self._state.balances[:, asset].sum())
            issued = int(self._opening_named[issue][asset] - self._named[issue][asset])
            gained = self._named[:, asset] - self._opening_named[:, asset]
            sinks = {n: int(gained[i]) for i, n in enumerate(names) if i != issue and gained[i]}
            flows[name] = {
                "start": start,
                "end": end,
                "issued": issued,
                "in_other_accounts": sinks,
                "unexplained": start + issued - sum(sinks.values()) - end,
            }
        return flows


def wealth_cents(plan: RunPlan, state: MarketState) -> Int64:
    """Cash and stock at reference prices less what is owed, by trader, in cents."""
    owned = state.balances if state.owed is None else state.balances - state.owed
    stock: Int64 = (owned[:, 1:] * state.reference_ticks[None, :]).sum(axis=1)
    cash: Int64 = owned[:, CASH]
    return cash + stock * plan.market.config.tick_cents


def _counted_by(plan: RunPlan) -> str:
    """Who counted the tokens: the engine where it has a tokenizer and tells, else the project's estimate."""
    counters = {"engine" if m.counts_tokens else "estimate" for m in plan.models}
    return "mixed" if len(counters) > 1 else next(iter(counters), "none")


def _usd(plan: RunPlan, tokens: pl.DataFrame) -> dict[str, float]:
    """What the replies of each model cost whose prices are known; what a failed request cost nobody knows."""
    cost: dict[str, float] = {}
    for model in plan.models:
        prices = model.usd_per_million
        if prices is not None and any(prices) and tokens.width:
            spent = tokens.filter(pl.col("model") == model.name)
            usd = int(spent["prompt_tokens"].sum()) * prices[0] + int(spent["completion_tokens"].sum()) * prices[1]
            cost[model.name] = round(usd / 1e6, 6)
    return cost


def _column(table: pl.DataFrame, name: str) -> npt.NDArray[Any]:
    return table[name].to_numpy() if name in table.columns else np.empty(0)


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _most(values: npt.NDArray[Any]) -> int:
    return int(values.max()) if len(values) else 0


def _quantile(values: npt.NDArray[Any], share: float) -> float:
    return round(float(np.quantile(values, share)), 6) if len(values) else 0.0
