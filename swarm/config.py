"""Owns a run's config: composed of each package's own section, cross-checked, digested; `config_file` reads it."""

import re
from itertools import pairwise
from typing import Annotated, Any

from pydantic import Discriminator, Field, JsonValue, Tag, field_validator, model_validator

from swarm.agents.baselines import ARBITRAGE, BASELINES
from swarm.agents.config import BudgetConfig, TradersConfig
from swarm.agents.minds import definitions, models_with_tools
from swarm.coordination import staffing
from swarm.errors import ConfigError, suggest
from swarm.llm import engines
from swarm.llm.config import ModelConfig
from swarm.llm.protocol import MARGINS, SCORES, TOOLS
from swarm.market.config import MarketConfig
from swarm.schema import Misplaced, StrictModel, short
from swarm.simulation.plan import config_digest
from swarm.simulation.population import MAX_TRADERS, MIN_TRADERS, PopulationStage
from swarm.simulation.regions import (
    RegionsConfig,
    populations,
)

_NAME = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
LABEL = re.compile(f"([A-Za-z0-9][A-Za-z0-9.-]*/)?{_NAME}={_NAME}")
"""A node's label as Ray allows it."""


class RuntimeConfig(StrictModel):
    """The section on where a run's processes live; nothing here changes a run's history."""

    traders_per_actor: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many traders one shard hosts, a shard being one Ray actor; null: by the population and the cores."""

    placement: str = Field(default="spread", max_length=400)
    """Which nodes of a cluster get shards: `spread` for all of them, each by its cores, or labels that a node must
    have, as `zone=east` or `zone=east,disk=ssd`, as `ray start --labels` gives them. Shards move to nodes that join."""

    num_cpus: int | None = Field(default=None, ge=1, le=1_024)
    """CPU cores that a cluster of the run's own may use; null: all."""

    object_store_mb: int | None = Field(default=None, ge=80, le=100_000)
    """Size of the object store of a cluster of the run's own, in megabytes; null: 200, and one more for each 500
    traders as far as half of the free shared memory allows it. What does not fit goes to the disk."""

    dashboard_port: int | None = Field(default=None, ge=1, le=65_535)
    """Port of Ray's dashboard on a cluster of the run's own; null: no dashboard, which starts faster. It asks for the
    cluster's token, which is drawn anew for each run unless RAY_AUTH_TOKEN_PATH names a file with one."""

    http_port: int | None = Field(default=None, ge=1, le=65_535)
    """Port of this machine alone on which the models of a cluster of the run's own answer OpenAI's protocol for other
    people's clients, as long as the run lasts; null: on none."""

    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """Port on which Prometheus can read the run's own metrics; 0: any that is free, null: none, which keeps none."""

    metrics_host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    """Address that this port is opened on; the default is reached from this machine alone, 0.0.0.0 from everywhere."""

    guests_port: int = Field(default=0, ge=0, le=65_535)
    """Port on which guests (`traders.guests`) take their seats; 0: any that is free, the same when a run is resumed."""

    guests_host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    """Address that this port is opened on; the default is reached from this machine alone, 0.0.0.0 from everywhere."""

    metrics_linger_s: float = Field(default=0.0, ge=0.0, le=3_600.0)
    """Seconds for which the metrics stay after a run came to its end, so that the last round is read, too."""

    snapshot_rounds: int = Field(default=20, ge=0, le=1_000_000)
    """After how many rounds the market writes a snapshot beside its journal, from which one that is lost goes on; 0:
    never, and it reads all of its journal."""

    start_timeout_s: float = Field(default=120.0, gt=0.0, le=3_600.0)
    """Seconds within which the cluster, the models and the shards must be up."""

    @field_validator("placement")
    @classmethod
    def _names_labels(cls, placement: str) -> str:
        pairs = placement.split(",")
        if placement != "spread" and not all(LABEL.fullmatch(pair) for pair in pairs):
            raise ValueError(f"expected spread, or labels as key=value, joined by commas, got {short(placement)}")
        if len({pair.partition("=")[0] for pair in pairs}) < len(pairs):
            raise ValueError(f"expected each label once, got {short(placement)}")
        return placement

    @property
    def labels(self) -> dict[str, str]:
        """The labels that a node must have to get shards; none where shards are spread over all nodes."""
        if self.placement == "spread":
            return {}
        return {key: value for key, _, value in (pair.partition("=") for pair in self.placement.split(","))}


def _population_tag(population: Any) -> str | None:
    """Returns "number" or "schedule" for a population, in plain values or as a model; None if it is neither."""
    if isinstance(population, list | tuple):
        return "schedule" if population else None
    return "number" if isinstance(population, int) and not isinstance(population, bool) else None


Population = Annotated[
    Annotated[int, Field(ge=MIN_TRADERS, le=MAX_TRADERS), Tag("number")]
    | Annotated[tuple[PopulationStage, ...], Field(max_length=1_000), Tag("schedule")],
    Discriminator(
        _population_tag,
        custom_error_type="population",
        custom_error_message="Expected a whole number or a list of stages such as {from_round: 1, traders: 40}",
    ),
]


class RunConfig(StrictModel):
    """One run."""

    name: str = Field(default="run", min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What the run's folder is called: letters, digits, `.`, `_`, `-`."""

    seed: int = Field(default=1, ge=0, le=2**63 - 1)
    """What all chance of the run is drawn from."""

    rounds: int = Field(default=60, ge=1, le=1_000_000)
    """How many rounds the run has."""

    population: Population = 40
    """How many traders there are; or, where they come and go, a list of how many from which round on."""

    scenario: dict[str, Any] = Field(default_factory=lambda: {"name": "wood"})
    """The setting: its name, and the keys of its own that `swarm validate --explain` lists."""

    models: tuple[ModelConfig, ...] = Field(default=(), max_length=32)
    """The models that decide for traders."""

    traders: TradersConfig = TradersConfig()
    """Who decides for whom, and who hears whom."""

    market: MarketConfig = MarketConfig()
    """How orders are bounded, cleared and rationed."""

    budget: BudgetConfig = BudgetConfig()
    """What a turn and a round may cost."""

    parties: dict[str, dict[str, JsonValue]] = Field(default_factory=dict, max_length=16)
    """Who acts between two rounds, by name: which `party` (its plug-in) each is, and that one's own keys."""

    regions: RegionsConfig | None = None
    """Several markets in one run, over which the population is spread evenly; null: one market."""

    runtime: RuntimeConfig = RuntimeConfig()
    """Where the processes live."""

    @model_validator(mode="after")
    def _models_fit(self) -> "RunConfig":
        names = [m.name for m in self.models]
        if doubled := sorted({n for n in names if names.count(n) > 1}):
            raise Misplaced("models", f"two models are called {doubled[0]!r}; give each its own name")
        # Models and baselines share one namespace, that of traders.minds.
        if clash := sorted(set(names) & set(BASELINES)):
            raise Misplaced("models", f"{clash[0]!r} is the name of a baseline; give the model another")
        if not names and not self.traders.minds and not self.traders.guests:
            raise Misplaced("models", "expected at least one model, or baselines under traders.minds")
        for i, model in enumerate(self.models):
            if model.max_completion_tokens >= self.budget.tokens_per_turn:
                raise Misplaced(
                    f"models.{i}.max_completion_tokens",
                    f"expected less than budget.tokens_per_turn ({self.budget.tokens_per_turn}), "
                    f"got {model.max_completion_tokens}",
                )
        return self

    @model_validator(mode="after")
    def _minds_fit(self) -> "RunConfig":
        names = [m.name for m in self.models]
        try:
            known = definitions(names, self.traders)
        except ConfigError as error:
            raise Misplaced.of(error) from None
        # A mind that uses tools may ask through others, so all models behind it are looked at.
        engine_without = {m.name: m.engine for m in self.models if TOOLS not in engines.of(m).abilities}
        for name, definition in known.items():
            for model in sorted(models_with_tools([name], known) & engine_without.keys()):
                raise Misplaced(
                    f"{definition.key}.model",
                    f"{model} is a model of the engine {engine_without[model]}, which can call no tool",
                )
        guests = {guest.name for guest in self.traders.guests}
        for mind, weight in self.traders.minds.items():
            if mind in guests:
                raise Misplaced(f"traders.minds.{mind}", "a guest has `seats` and no weight; leave it out")
            if mind not in known:
                raise Misplaced(
                    f"traders.minds.{mind}",
                    f"there is no such mind{suggest(mind, list(known))}; known: {', '.join(known)}",
                )
            if not 0 <= weight <= 1_000:
                raise Misplaced(f"traders.minds.{mind}", f"expected a weight from 0 to 1000, got {weight}")
        # A weight of 0 keeps a mind in the config without traders; one at least must have some.
        if self.traders.minds and not any(self.traders.minds.values()):
            raise Misplaced("traders.minds", "expected at least one weight above 0")
        return self

    @model_validator(mode="after")
    def _guests_fit(self) -> "RunConfig":
        if not (guests := self.traders.guests):
            return self
        if self.regions:
            raise Misplaced("traders.guests", "guests take seats in a run of one market; set regions to null")
        variables = [guest.token_env for guest in guests]
        for number, variable in enumerate(variables):
            if variable in variables[:number]:
                raise Misplaced(
                    f"traders.guests.{number}.token_env",
                    f"{variable} is another guest's, too; give each guest a variable of its own",
                )
        seats, traders = sum(guest.seats for guest in guests), self.fewest_traders
        if seats > traders:
            raise Misplaced("traders.guests", f"expected at most {traders} seats, one for each trader, got {seats}")
        if seats < self.most_traders and not self.minds:
            raise Misplaced(
                "traders.minds",
                f"nobody decides for {self.most_traders - seats} of {self.most_traders} traders, since guests have "
                f"{seats} seats; name a mind or add seats",
            )
        return self

    @model_validator(mode="after")
    def _staffing_fits(self) -> "RunConfig":
        names = [m.name for m in self.models]
        try:
            plugin, section = staffing.read(self.traders.staffing, self.budget.governed)
        except ConfigError as error:
            raise Misplaced.of(error) from None
        for model in plugin.models(section):
            if model not in names:
                raise Misplaced(
                    staffing.KEY,
                    f"there is no model {model!r}{suggest(model, names)}; known: {', '.join(names) or 'none'}",
                )
        if plugin.mind and not self.minds.get(plugin.name):
            raise Misplaced("traders.minds", f"nobody's work is assigned; give the mind {plugin.name} a weight above 0")
        return self

    @model_validator(mode="after")
    def _hearing_fits(self) -> "RunConfig":
        if (hears := self.traders.hears) is not None and hears >= self.most_traders:
            raise Misplaced(
                "traders.hears",
                f"expected at most {self.most_traders - 1}, since a trader has no more others to hear among "
                f"{self.most_traders}, got {hears}",
            )
        return self

    @model_validator(mode="after")
    def _cascades_fit(self) -> "RunConfig":
        models = {model.name: model for model in self.models}
        for i, cascade in enumerate(self.traders.cascades):
            key = f"traders.cascades.{i}"
            if cascade.price_ticks is None and not sum(models[cascade.large].usd_per_million or ()):
                raise Misplaced(
                    f"{key}.large",
                    f"{cascade.large!r} has no price; set `price_ticks` here or `usd_per_million_prompt_tokens` there",
                )
            small = models[cascade.small]
            if cascade.samples == 1 and not {MARGINS, SCORES} & engines.of(small).abilities:
                raise Misplaced(
                    f"{key}.samples",
                    f"expected 2 or more, since the engine {small.engine} of {cascade.small!r} does not tell how sure "
                    "an answer is",
                )
        return self

    @model_validator(mode="after")
    def _population_fits(self) -> "RunConfig":
        if isinstance(self.population, int):
            return self
        first = [stage.from_round for stage in self.population]
        if first[0] != 1:
            raise Misplaced(
                "population.0.from_round", f"expected 1, since the first stage is the opening, got {first[0]}"
            )
        # Each stage begins after the one before it; the last begins within the run.
        for i, (before, after) in enumerate(pairwise(first), 1):
            if after <= before:
                raise Misplaced(
                    f"population.{i}.from_round",
                    f"expected more than {before}, the round of the stage before, got {after}, in stage {i + 1}",
                )
        if first[-1] > self.rounds:
            raise Misplaced(
                f"population.{len(first) - 1}.from_round",
                f"expected at most {self.rounds}, the last of the run's rounds, got {first[-1]}",
            )
        return self

    @model_validator(mode="after")
    def _regions_fit(self) -> "RunConfig":
        if self.traders.minds.get(ARBITRAGE):
            raise Misplaced(
                f"traders.minds.{ARBITRAGE}",
                "this rule decides for travellers away from home alone; regions.travellers says how many there are",
            )
        if (regions := self.regions) is None:
            return self
        names, traders = regions.all_names, self.most_traders
        if self.fewest_traders < 2 * len(names):
            raise Misplaced(
                "regions",
                f"expected at least two traders in each of {len(names)} regions, got a population of "
                f"{self.fewest_traders}",
            )
        # A region's travellers are among those who live there.
        for region, natives in enumerate(populations(traders, len(names))):
            if regions.homes(region) > natives:
                raise Misplaced(
                    "regions.travellers",
                    f"{names[region]} would have {regions.homes(region)} travellers, and {natives} traders live there",
                )
        return self

    @property
    def most_traders(self) -> int:
        """How many traders there are; where they come and go, the most that are there in any round."""
        if isinstance(self.population, int):
            return self.population
        return max(stage.traders for stage in self.population)

    @property
    def fewest_traders(self) -> int:
        """How many traders there are; where they come and go, the fewest that are there in any round."""
        if isinstance(self.population, int):
            return self.population
        return min(stage.traders for stage in self.population)

    @property
    def market_names(self) -> tuple[str, ...]:
        """The names of the run's markets: of its regions, or a single one without a name."""
        return self.regions.all_names if self.regions else ("",)

    @property
    def minds(self) -> dict[str, int]:
        """Weights by mind, with the default filled in."""
        if not self.traders.minds and (brought := staffing.mind_of(self.traders.staffing)):
            return {brought[0]: 1}
        # All models and defined minds alike, where no weights are given.
        return self.traders.minds or dict.fromkeys([*(m.name for m in self.models), *self.traders.own_minds], 1)

    def record(self) -> dict[str, Any]:
        """Returns the config in plain values, every default written out."""
        return self.model_dump(mode="json")

    def history_record(self) -> dict[str, Any]:
        """Returns what of the config shapes the history: all but where the processes live.

        A run of one market has no `regions`, one without parties no `parties`, one whose staffing is the default no
        `traders.staffing`, and one without cascades or guests no `traders.cascades` or `traders.guests`.
        """
        # Keys that came later are left out where they say nothing, so that older histories keep their digest.
        left_out = {"runtime", *(key for key in ("regions", "parties") if not getattr(self, key))}
        kept = {key: value for key, value in self.record().items() if key not in left_out}
        for key in ("staffing", "cascades", "guests"):
            if not kept["traders"][key]:
                del kept["traders"][key]
        return kept

    def sha256(self) -> str:
        """Returns the digest of `history_record`, the same wherever a run's processes live."""
        return config_digest(self.history_record())
