"""What a thousand traders cost with each model at hand: the table that has often been printed unmeasured."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.turns import cpu_seconds
from swarm.config import RunConfig, compose, load, resolve
from swarm.llm.config import ModelConfig
from swarm.runtime.run import Narrator, Place, check_models, open_ports
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome, run_rounds
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder

TRADERS = 1_000
WARM_UP_ROUNDS = 1
ROUNDS = 3
DEFAULT_USD_PER_CORE_HOUR = 0.04
"""An assumption that stands in every note: about what a core of a rented machine costs."""


@dataclass(slots=True)
class _Ledger:
    """A watcher that adds up what warm rounds came to."""

    model: ModelConfig
    turns: int = 0
    valid: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    usd: float = 0.0
    _cpu_before_s: float = 0.0

    def started(self, plan: RunPlan, opening: MarketState, named: object) -> None:
        """Nothing has been spent yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Add a round once the processes are warm."""
        cpu_s = cpu_seconds(0)
        if outcome.round > WARM_UP_ROUNDS:
            turns = outcome.gathered.turns
            self.turns += outcome.plan.traders
            self.valid += sum(error is None for error in outcome.gathered.decisions.errors)
            self.cpu_s += cpu_s - self._cpu_before_s
            self.wall_s += outcome.duration_s
            prompt_usd, completion_usd = self.model.usd_per_million or (0.0, 0.0)
            self.usd += int(turns.prompt_tokens.sum()) * prompt_usd / 1e6
            self.usd += int(turns.completion_tokens.sum()) * completion_usd / 1e6
        self._cpu_before_s = cpu_s


def at_hand() -> RunConfig:
    """The models that need nothing but this package: a rule as the control, and the five embedded ones."""
    temperaments = ("value", "momentum", "maker", "hoarder", "panic")
    embedded = [{"name": f"embedded-{t}", "engine": "embedded", "temperament": t} for t in temperaments]
    return resolve(
        {
            "name": "bench-economy",
            "models": [{"name": "scripted-value", "temperament": "value"}, *embedded],
            "budget": {"round_deadline_s": 600},
        }
    )


def measure(path: Path | None, traders: int, usd_per_core_hour: float, narrator: Narrator) -> list[Result]:
    """Each model of a config by itself, five runs of each; the seller's price per token counts beside the cores'."""
    config = load(path) if path else at_hand()
    results = []
    for model in config.models:
        ledgers = []
        for attempt in range(RUNS):
            narrator.phase(f"{model.name}, run {attempt + 1} of {RUNS}")
            ledgers.append(_run(_alone(config, model, traders), narrator))
        results += _results(model, ledgers, traders, usd_per_core_hour)
    return results


def _results(model: ModelConfig, ledgers: list[_Ledger], traders: int, usd_per_core_hour: float) -> list[Result]:
    price = usd_per_core_hour / 3_600
    cost = [(ledger.cpu_s * price + ledger.usd) / ledger.turns * 1e6 for ledger in ledgers]
    name, what = f"economy_{model.name}", f"{traders:,} traders, {model.engine}"
    sold = "" if any(model.usd_per_million or ()) else ", tokens at no price"
    return [
        median_of(f"{name}_valid_rate", [g.valid / g.turns for g in ledgers], "share", "higher", note=what),
        median_of(
            f"{name}_usd_per_million_turns",
            cost,
            "$",
            "lower",
            bound=f"{median(g.cpu_s / g.turns for g in ledgers) * 1_000:.2f} ms of CPU a turn, all processes counted; "
            f"a core-hour is assumed to cost ${usd_per_core_hour:g}",
            note=f"{what}{sold}",
        ),
        median_of(f"{name}_s_per_round", [g.wall_s / ROUNDS for g in ledgers], "s", "lower", note=what),
    ]


def _alone(config: RunConfig, model: ModelConfig, traders: int) -> RunConfig:
    record = config.record()
    return resolve(
        record
        | {
            "models": [model.model_dump(mode="json")],
            "population": traders,
            "rounds": WARM_UP_ROUNDS + ROUNDS,
            "traders": record["traders"] | {"minds": {model.name: 1}, "desks": []},
        }
    )


def _run(run: RunConfig, narrator: Narrator) -> _Ledger:
    ledger = _Ledger(run.models[0])
    plan = compose(run)
    check_models(run, plan, Place(), narrator)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_ports(run, plan, Place(), Path(folder) / "journal.swarm", narrator, lambda: False) as ports,
    ):
        run_rounds(plan, ports.market, ports.traders, (Recorder(), ledger))
        ports.market.close()
    return ledger
