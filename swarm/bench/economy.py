"""The cost of a thousand traders with each model at hand: valid decisions, dollars, and seconds per round."""

from pathlib import Path
from statistics import median

from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.runs import TEMPERAMENTS, Warm, play
from swarm.bench.turns import cpu_seconds
from swarm.config import RunConfig
from swarm.config_file import load, resolve
from swarm.llm.config import ModelConfig
from swarm.preflight import Narrator
from swarm.runtime.ports import RunsOn
from swarm.simulation.loop import RoundOutcome

WARM_UP_ROUNDS = 1
ROUNDS = 3


class _Ledger(Warm):
    """A watcher that also adds up what warm rounds came to."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__(WARM_UP_ROUNDS)
        self.model = model
        self.valid = self.late = 0
        self.cpu_s = self.usd = 0.0
        self._cpu_before_s = 0.0

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds a round once the processes are warm."""
        super().round_done(outcome)
        # Of all processes: what one of them saves by asking another is no saving.
        cpu_s = cpu_seconds(0)
        if outcome.round > WARM_UP_ROUNDS:
            turns = outcome.gathered.turns
            self.late += len(outcome.gathered.late)
            self.valid += sum(error is None for error in outcome.gathered.decisions.errors)
            self.cpu_s += cpu_s - self._cpu_before_s
            prompt_usd, completion_usd = self.model.usd_per_million or (0.0, 0.0)
            self.usd += int(turns.prompt_tokens.sum()) * prompt_usd / 1e6
            self.usd += int(turns.completion_tokens.sum()) * completion_usd / 1e6
        self._cpu_before_s = cpu_s


def at_hand() -> RunConfig:
    """Returns the models that need nothing but this package: a rule as the control, and the five embedded ones."""
    embedded = [{"name": f"embedded-{t}", "engine": "embedded", "temperament": t} for t in TEMPERAMENTS]
    return resolve(
        {
            "name": "bench-economy",
            "models": [{"name": "scripted-value", "temperament": "value"}, *embedded],
            "budget": {"round_deadline_s": 600},
        }
    )


def measure(path: Path | None, traders: int, usd_per_core_hour: float, narrator: Narrator) -> list[Result]:
    """Returns the figures of each model of a config by itself, five runs of each.

    The seller's price per token counts beside that of the cores.
    """
    config = load(path) if path else at_hand()
    results = []
    for model in config.models:
        ledgers = []
        # Each run is a new one, so that no cache of one helps the next.
        for attempt in range(RUNS):
            narrator.phase(f"{model.name}, run {attempt + 1} of {RUNS}")
            ledgers.append(_run(_alone(config, model, traders), narrator))
        results += _results(model, ledgers, traders, usd_per_core_hour)
    return results


def _results(model: ModelConfig, ledgers: list[_Ledger], traders: int, usd_per_core_hour: float) -> list[Result]:
    # What the cores cost and what a seller asks for tokens, over the turns that it paid for.
    price = usd_per_core_hour / 3_600
    cost = [(ledger.cpu_s * price + ledger.usd) / ledger.turns * 1e6 for ledger in ledgers]
    name, what = f"economy_{model.name}", f"{traders:,} traders, {model.engine}"
    sold = "" if any(model.usd_per_million or ()) else ", tokens at no price"
    return [
        median_of(f"{name}_valid_rate", [g.valid / (g.turns + g.late) for g in ledgers], "share", "higher", note=what),
        median_of(
            f"{name}_usd_per_million_turns",
            cost,
            "$",
            "lower",
            bound=f"{median(g.cpu_s / g.turns for g in ledgers) * 1_000:.2f} ms of CPU a turn, all processes counted; "
            f"a core-hour is assumed to cost ${usd_per_core_hour:g}",
            note=f"{what}{sold}",
        ),
        median_of(f"{name}_s_per_round", [sum(g.seconds) / ROUNDS for g in ledgers], "s", "lower", note=what),
    ]


def _alone(config: RunConfig, model: ModelConfig, traders: int) -> RunConfig:
    # All else stays as the config has it: scenario, budget, market.
    record = config.record()
    return resolve(
        record
        | {
            "models": [model.model_dump(mode="json")],
            "population": traders,
            "regions": None,
            "rounds": WARM_UP_ROUNDS + ROUNDS,
            "traders": record["traders"] | {"minds": {model.name: 1}, "desks": []},
        }
    )


def _run(run: RunConfig, narrator: Narrator) -> _Ledger:
    ledger = _Ledger(run.models[0])
    play(run, RunsOn(), narrator, ledger)
    return ledger
