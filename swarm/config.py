"""A run's config: composed of each package's own section, read from one YAML file, resolved, digested, kept."""

import difflib
import importlib.util
import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import numpy as np
import yaml
from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from swarm import scenarios
from swarm.agents import desk_tools, menu, prompt
from swarm.agents.baselines import ARBITRAGE, BASELINES
from swarm.agents.config import BudgetConfig, TradersConfig
from swarm.agents.decision import Rules
from swarm.agents.shard import MODELS_SHARE, ShardPlan
from swarm.errors import ConfigError
from swarm.llm.config import ModelConfig
from swarm.llm.entry import usd_per_turn
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens
from swarm.market import margin
from swarm.market.config import MarketConfig, Mechanism
from swarm.scenarios.protocol import MarketState, Scenario, ScenarioPlugin
from swarm.schema import StrictModel
from swarm.simulation.market import MarketPlan
from swarm.simulation.plan import RunPlan, assign_minds, config_digest
from swarm.simulation.presence import DEPARTED, MAX_TRADERS, MIN_TRADERS, PopulationStep
from swarm.simulation.region import Guests, Region
from swarm.simulation.regions import (
    RegionsConfig,
    RegionsPlan,
    choose_travellers,
    populations,
    region_of,
    region_seed,
)
from swarm.simulation.road import AWAY, HOME
from swarm.simulation.whole import whole_plan

Model = TypeVar("Model", bound=StrictModel)

_NAME = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
LABEL = re.compile(f"([A-Za-z0-9][A-Za-z0-9.-]*/)?{_NAME}={_NAME}")
"""A node's label as Ray allows it."""


class RuntimeConfig(StrictModel):
    """Where a run's processes live; nothing here changes a run's history."""

    traders_per_actor: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many traders one shard hosts, a shard being one Ray actor; null: by the population and the cores."""

    placement: str = Field(default="spread", max_length=400)
    """Which nodes of a cluster get shards: `spread` for all of them, each by its cores, or labels that a node must
    have, as `zone=east` or `zone=east,disk=ssd`, as `ray start --labels` gives them. Shards move to nodes that join."""

    num_cpus: int | None = Field(default=None, ge=1, le=1_024)
    """CPU cores that a cluster of the run's own may use; null: all."""

    object_store_mb: int = Field(default=200, ge=80, le=100_000)
    """Size of the object store of a cluster of the run's own, in megabytes."""

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
            raise ValueError(f"expected spread, or labels as key=value, joined by commas, got {_short(placement)}")
        if len({pair.partition("=")[0] for pair in pairs}) < len(pairs):
            raise ValueError(f"expected each label once, got {_short(placement)}")
        return placement

    @property
    def labels(self) -> dict[str, str]:
        """The labels that a node must have to get shards; none where shards are spread over all nodes."""
        if self.placement == "spread":
            return {}
        return {key: value for key, _, value in (pair.partition("=") for pair in self.placement.split(","))}


def _population_tag(population: Any) -> str | None:
    """Whether a population is a number or a schedule, in plain values or as a model; None if it is neither."""
    if isinstance(population, list | tuple):
        return "schedule" if population else None
    return "number" if isinstance(population, int) and not isinstance(population, bool) else None


Population = Annotated[
    Annotated[int, Field(ge=MIN_TRADERS, le=MAX_TRADERS), Tag("number")]
    | Annotated[tuple[PopulationStep, ...], Field(max_length=1_000), Tag("schedule")],
    Discriminator(
        _population_tag,
        custom_error_type="population",
        custom_error_message="Expected a whole number or a list of steps such as {from_round: 1, traders: 40}",
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

    regions: RegionsConfig | None = None
    """Several markets in one run, over which the population is spread evenly; null: one market."""

    runtime: RuntimeConfig = RuntimeConfig()
    """Where the processes live."""

    @model_validator(mode="after")
    def _minds_exist(self) -> "RunConfig":
        names = [m.name for m in self.models]
        if doubled := sorted({n for n in names if names.count(n) > 1}):
            raise _Misplaced("models", f"two models are called {doubled[0]!r}; give each its own name")
        if clash := sorted(set(names) & set(BASELINES)):
            raise _Misplaced("models", f"{clash[0]!r} is the name of a baseline; give the model another")
        if not names and not self.traders.minds:
            raise _Misplaced("models", "expected at least one model, or baselines under traders.minds")
        if (hears := self.traders.hears) is not None and hears >= self.most_traders:
            raise _Misplaced(
                "traders.hears",
                f"expected at most {self.most_traders - 1}, since a trader has no more others to hear among "
                f"{self.most_traders}, got {hears}",
            )
        desks = [d.name for d in self.traders.desks]
        for i, desk in enumerate(self.traders.desks):
            if desk.name in (*names, *BASELINES, *desks[:i]):
                raise _Misplaced(
                    f"traders.desks.{i}.name", f"{desk.name!r} is the name of another mind; give the desk its own"
                )
            if desk.model not in names:
                raise _Misplaced(
                    f"traders.desks.{i}.model",
                    f"there is no such model{_suggest(desk.model, names)}; known: {', '.join(names) or 'none'}",
                )
            if not self.models[names.index(desk.model)].takes_tools:
                raise _Misplaced(
                    f"traders.desks.{i}.model",
                    f"{desk.model} is a model of the engine {self.models[names.index(desk.model)].engine}, which can call no tool",
                )
        known = [*names, *desks, *BASELINES]
        for mind, weight in self.traders.minds.items():
            if mind not in known:
                raise _Misplaced(
                    f"traders.minds.{mind}", f"there is no such mind{_suggest(mind, known)}; known: {', '.join(known)}"
                )
            if not 0 <= weight <= 1_000:
                raise _Misplaced(f"traders.minds.{mind}", f"expected a weight from 0 to 1000, got {weight}")
        if self.traders.minds and not any(self.traders.minds.values()):
            raise _Misplaced("traders.minds", "expected at least one weight above 0")
        for i, model in enumerate(self.models):
            if model.max_completion_tokens >= self.budget.tokens_per_turn:
                raise _Misplaced(
                    f"models.{i}.max_completion_tokens",
                    f"expected less than budget.tokens_per_turn ({self.budget.tokens_per_turn}), "
                    f"got {model.max_completion_tokens}",
                )
        return self

    @model_validator(mode="after")
    def _population_fits(self) -> "RunConfig":
        if isinstance(self.population, int):
            return self
        first = [step.from_round for step in self.population]
        if first[0] != 1:
            raise _Misplaced(
                "population.0.from_round", f"expected 1, since the first step is the opening, got {first[0]}"
            )
        for i, (before, after) in enumerate(pairwise(first), 1):
            if after <= before:
                raise _Misplaced(
                    f"population.{i}.from_round",
                    f"expected more than {before}, the round of the step before, got {after}",
                )
        if first[-1] > self.rounds:
            raise _Misplaced(
                f"population.{len(first) - 1}.from_round",
                f"expected at most {self.rounds}, the last of the run's rounds, got {first[-1]}",
            )
        for place, used, back in (
            ("regions", self.regions, "several regions"),
            ("market.margin", self.market.margin, "margin accounts"),
        ):
            if used is not None:
                raise _Misplaced(
                    "population",
                    f"traders come and go in runs without {back} only; give one number, or set {place} to null",
                )
        return self

    @model_validator(mode="after")
    def _regions_fit(self) -> "RunConfig":
        if self.traders.minds.get(ARBITRAGE):
            raise _Misplaced(
                f"traders.minds.{ARBITRAGE}",
                "this rule decides for travellers away from home alone; regions.travellers says how many there are",
            )
        if (regions := self.regions) is None:
            return self
        names, traders = regions.all_names, self.most_traders
        if traders < 2 * len(names):
            raise _Misplaced(
                "regions",
                f"expected at least two traders in each of {len(names)} regions, got a population of {traders}",
            )
        for region, natives in enumerate(populations(traders, len(names))):
            if regions.homes(region) > natives:
                raise _Misplaced(
                    "regions.travellers",
                    f"{names[region]} would have {regions.homes(region)} travellers, and {natives} traders live there",
                )
        if self.market.margin is not None:
            raise _Misplaced("regions", "margin accounts lend in one market alone; set market.margin to null")
        return self

    @property
    def most_traders(self) -> int:
        """How many traders there are; where they come and go, the most that are there in any round."""
        if isinstance(self.population, int):
            return self.population
        return max(step.traders for step in self.population)

    @property
    def minds(self) -> dict[str, int]:
        """Weights by mind, with the default filled in."""
        return self.traders.minds or {m.name: 1 for m in (*self.models, *self.traders.desks)}

    def record(self) -> dict[str, Any]:
        """The config in plain values, every default written out."""
        return self.model_dump(mode="json")

    def history_record(self) -> dict[str, Any]:
        """What of the config shapes the history: all but where the processes live.

        A run of one market has no `regions`, as all runs had before there were any.
        """
        left_out = {"runtime"} if self.regions else {"runtime", "regions"}
        return {key: value for key, value in self.record().items() if key not in left_out}

    def sha256(self) -> str:
        """The digest of `history_record`, the same wherever a run's processes live."""
        return config_digest(self.history_record())


class _Misplaced(ValueError):
    """A validator's complaint about a place other than the model it stands in."""

    def __init__(self, place: str, message: str) -> None:
        self.place = place
        super().__init__(message)


def load(path: Path, overrides: tuple[str, ...] = (), seed: int | None = None) -> RunConfig:
    """Read a config file and apply `a.b=value` overrides; ConfigError names the first place that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            str(path), f"this config cannot be read ({reason})", "name a YAML file, say configs/wood.yaml"
        ) from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(where, f"this is not YAML ({getattr(error, 'problem', None) or 'unreadable'})") from error
    if not isinstance(data, dict):
        raise ConfigError(str(path), "expected keys such as name, rounds and models", "see configs/wood.yaml")
    for override in overrides:
        _override(data, override)
    if seed is not None:
        data["seed"] = seed
    return resolve(data)


def resolve(data: dict[str, Any]) -> RunConfig:
    """Check plain values and write out every default, the scenario's included."""
    config = _validate(RunConfig, data, "")
    name = config.scenario.get("name")
    known = scenarios.names()
    if name not in known:
        raise ConfigError(
            "scenario.name", f"expected one of {', '.join(known)}, got {name!r}{_suggest(str(name), known)}"
        )
    plugin = scenarios.find(str(name))
    section = _validate(plugin.Config, config.scenario, "scenario.")
    if config.regions and config.regions.tilt_permille and plugin.tilted is None:
        raise ConfigError(
            "regions.tilt_permille", f"the regions of {name} all begin alike", "set it to 0: only their seeds differ"
        )
    return config.model_copy(update={"scenario": section.model_dump(mode="json")})


def compose(config: RunConfig) -> RunPlan:
    """The plan of a run; a fresh one for each run, since it holds the scenario's state.

    Of a run of several regions it is the plan of the whole, which can be looked at; `compose_regions` has those that
    can be run.
    """
    if config.regions:
        return compose_regions(config).whole
    plugin, section = _scenario(config)
    scenario = plugin.build(section, config.seed, config.most_traders, config.rounds, config.market)
    minds = assign_minds(config.seed, _weights(config), scenario.makes)
    return _plan(config, config.seed, scenario, minds, config.history_record())


def compose_regions(config: RunConfig) -> RegionsPlan:
    """The plans of a run of several regions; fresh ones for each run."""
    regions = config.regions
    if regions is None:
        raise ConfigError("regions", "expected several regions, got one market")
    plugin, section = _scenario(config)
    names = regions.all_names
    natives = populations(config.most_traders, len(names))
    travellers = choose_travellers(regions, config.seed, natives)
    seeds = [region_seed(config.seed, number) for number in range(len(names))]
    settings: list[Region] = []
    for number, seed in enumerate(seeds):
        own = plugin.tilted(section, seed, regions.tilt_permille) if plugin.tilted else section
        guests = np.flatnonzero(travellers.region[:, AWAY] == number)
        homes = tuple(names[home] for home in travellers.region[guests, HOME].tolist())
        scenario = plugin.build(own, seed, natives[number], config.rounds, config.market)
        settings.append(Region(scenario, Guests(homes, regions.fee_permille, regions.capacity_lots)))
    minds = [
        assign_minds(seed, _weights(config), setting.scenario.makes)
        for seed, setting in zip(seeds, settings, strict=True)
    ]
    plans = []
    for number, setting in enumerate(settings):
        abroad = [
            ARBITRAGE if regions.abroad == "arbitrage" else minds[home][seat]
            for (home, away), (seat, _) in zip(travellers.region.tolist(), travellers.seat.tolist(), strict=True)
            if away == number
        ]
        record = {**config.history_record(), "region": names[number]}
        own_part = config.model_copy(update={"budget": config.budget.part(len(names))})
        plans.append(_plan(own_part, seeds[number], setting, (*minds[number], *abroad), record))
    first = _plan(config, config.seed, settings[0], tuple(m for own in minds for m in own), config.history_record())
    whole, number_of = whole_plan(plans, travellers, first)
    return RegionsPlan(regions, tuple(plans), whole, travellers, number_of)


def composed(record: dict[str, Any]) -> RunPlan:
    """The plan of the config that a journal has in its first record: of a run, or of one region of a run."""
    name = record.get("region")
    config = resolve({key: value for key, value in record.items() if key != "region"})
    if name is None:
        return compose(config)
    regions = compose_regions(config)
    if name not in regions.names:
        raise ConfigError("region", f"the journal is of {name!r}, which is no region of its run")
    return regions.plans[regions.names.index(name)]


def _scenario(config: RunConfig) -> tuple[ScenarioPlugin, StrictModel]:
    plugin = scenarios.find(config.scenario["name"])
    return plugin, plugin.Config.model_validate_json(json.dumps(config.scenario))


def _weights(config: RunConfig) -> dict[str, int]:
    return {mind: weight for mind, weight in config.minds.items() if weight}


def _plan(config: RunConfig, seed: int, scenario: Scenario, minds: tuple[str, ...], record: dict[str, Any]) -> RunPlan:
    """The plan of one market with these minds, drawn from `seed`, whose journal begins with `record`."""
    rules = Rules(
        goods=scenario.goods,
        max_orders=config.market.max_orders_per_round,
        max_price_ticks=config.market.max_price_ticks,
        max_quantity_lots=config.market.max_quantity_lots,
        max_stand_rounds=config.traders.standing.max_rounds,
    )
    at_desks = {d.model for d in config.traders.desks if d.name in minds}
    asked = {m.name for m in config.models if m.name in minds} | at_desks
    cheaper = _cheaper(config, asked, at_desks)
    steps = () if isinstance(config.population, int) else config.population
    return RunPlan(
        name=config.name,
        seed=seed,
        rounds=config.rounds,
        scenario_name=config.scenario["name"],
        scenario=scenario,
        models=tuple(m for m in config.models if m.name in asked | set(cheaper.values())),
        market=MarketPlan(
            config.market,
            len(minds),
            tuple(scenario.opening_reference_ticks.tolist()),
            scenario.named_accounts
            + (margin.ACCOUNTS if config.market.margin else ())
            + ((DEPARTED,) if steps else ()),
            _mechanisms(config.market, scenario.goods),
        ),
        shard=ShardPlan(
            seed=seed,
            first_trader=0,
            minds=minds,
            completion_tokens={m.name: m.max_completion_tokens for m in config.models},
            rules=rules,
            scenario_rules=scenario.rules_text(),
            tick_cents=config.market.tick_cents,
            traders=config.traders,
            budget=config.budget,
            menu_minds=frozenset(m.name for m in config.models if m.form == "menu"),
            cheaper=cheaper,
        ),
        config_record=record,
        config_sha256=config_digest(record),
        population=steps,
    )


def _cheaper(config: RunConfig, asked: set[str], at_desks: set[str]) -> dict[str, str]:
    """For each model that is asked and has a cheaper one of its form, the cheapest; nothing without a run's budget.

    A model of the config that is no trader's mind counts too, so that one can be kept for lean times. What can call no
    tool takes no place at a desk.
    """
    if not config.budget.governed:
        return {}
    found: dict[str, str] = {}
    for model in config.models:
        dear = usd_per_turn(model, config.budget.tokens_per_turn)
        if model.name not in asked or dear is None:
            continue
        tools = model.name in at_desks
        fit = [m for m in config.models if m.form == model.form and (m.takes_tools or not tools)]
        prices = {m.name: usd_per_turn(m, config.budget.tokens_per_turn) for m in fit}
        known = {name: usd for name, usd in prices.items() if usd is not None and usd < dear}
        if known:
            found[model.name] = min(known, key=lambda name: known[name])
    return found


def check_budget(config: RunConfig) -> None:
    """ConfigError where the first round's prompts leave no room for a reply; later prompts are of the same size."""
    if not config.models:
        return
    # A plan of its own, since observing moves a scenario's state.
    plan = _to_be_observed(config)
    nothing = MarketState(
        np.zeros((plan.traders, len(plan.scenario.goods) + 1), dtype=np.int64), plan.scenario.opening_reference_ticks
    )
    seen = plan.scenario.observe(1, nothing, None)
    system = prompt.system_text(plan.shard.scenario_rules, plan.shard.rules)
    public = prompt.public_text(seen.public, plan.scenario.goods)
    # Guests come last, and their own minds are shown what natives are; a rule in their place reads nothing.
    row = len(seen.private) - 1 if config.regions and config.regions.abroad == "own" else 0
    own = prompt.private_text(seen.private, row, plan.scenario.goods, config.market.tick_cents)
    of_orders = prompt.render(system, public, own, (), prompt_budget=sys.maxsize)
    of_menu = menu.render_menu(
        menu.menu_system_text(plan.shard.scenario_rules),
        menu.menu_public_text(seen.public, plan.scenario.goods),
        seen.private,
        row,
        menu.widest_menu(plan.shard.rules),
        plan.scenario.goods,
        config.market.tick_cents,
        prompt_budget=sys.maxsize,
    )
    lent = {plan.shard.cheaper[m] for m in plan.minds if m in plan.shard.cheaper}
    for model in plan.models:
        rendered = of_menu if model.form == "menu" else of_orders
        needed = (rendered.tokens if rendered else 0) + model.max_completion_tokens
        if model.name in {*plan.minds, *lent} and needed > config.budget.tokens_per_turn:
            raise ConfigError(
                "budget.tokens_per_turn",
                f"expected at least {needed}, got {config.budget.tokens_per_turn}",
                f"a prompt takes {needed - model.max_completion_tokens} tokens and a reply of {model.name} up to "
                f"{model.max_completion_tokens} (models.*.max_completion_tokens)",
            )
    for i, desk in enumerate(config.traders.desks):
        texts = (desk_tools.system_text(plan.shard.scenario_rules, desk, plan.shard.rules), desk_tools.task_text(seen))
        needed = sum(count_tokens(text) + MESSAGE_OVERHEAD for text in texts)
        needed += plan.shard.completion_tokens[desk.model]
        if desk.name in plan.minds and needed > desk.max_tokens:
            raise ConfigError(
                f"traders.desks.{i}.max_tokens",
                f"expected at least {needed}, which is what the first step takes, got {desk.max_tokens}",
                "each further step takes more, since it reads all before it",
            )
    _check_limits(config, plan)


def _check_limits(config: RunConfig, plan: RunPlan) -> None:
    """ConfigError where a run's budget would not let a single trader think, or cannot be reckoned."""
    budget = config.budget
    if not plan.models:
        return
    desks = [d.max_tokens for d in config.traders.desks if d.name in plan.minds]
    single = [budget.tokens_per_turn] if any(m.name in plan.minds for m in plan.models) else []
    dearest = max([*desks, *single])
    if budget.run_tokens is not None and budget.run_tokens < dearest:
        raise ConfigError(
            "budget.run_tokens",
            f"expected at least {dearest}, which is what one turn may take, got {budget.run_tokens}",
            f"the run has up to {config.rounds * config.most_traders} turns",
        )
    if budget.run_usd is None:
        return
    unpriced = [m.name for m in plan.models if m.usd_per_million is None]
    if unpriced:
        raise ConfigError(
            "budget.run_usd",
            f"nobody knows what {unpriced[0]} costs",
            "give its entry usd_per_million_prompt_tokens and usd_per_million_completion_tokens; 0 is a price",
        )
    most = max(max(m.usd_per_million or (0.0,)) for m in plan.models) * dearest / 1e6
    if not most:
        raise ConfigError(
            "budget.run_usd",
            "no model of this run has a price, so nothing would ever be spent",
            "give models usd_per_million_prompt_tokens, or set budget.run_tokens",
        )
    if budget.run_usd < most:
        raise ConfigError(
            "budget.run_usd", f"expected at least {most:g}, which is what one turn may cost, got {budget.run_usd:g}"
        )


def models_time_s(config: RunConfig) -> float:
    """Seconds of a round after which models are no longer waited for."""
    return MODELS_SHARE * config.budget.round_deadline_s


def check_deadline(config: RunConfig) -> list[str]:
    """A line for each model whose answers must come too late; ConfigError where no trader's could come in time.

    Only a scripted policy's latency is known before the run. Baselines always answer in time.
    """
    most_s = models_time_s(config)
    thinks_with = {d.name: d.model for d in config.traders.desks}
    minds = [thinks_with.get(mind, mind) for mind, weight in config.minds.items() if weight]
    latency_s = {m.name: m.known_latency_s for m in config.models}
    slow = [m for m in dict.fromkeys(minds) if latency_s.get(m, 0.0) >= most_s]
    if slow and len(slow) == len(set(minds)):
        quickest = min(latency_s[m] for m in slow)
        raise ConfigError(
            "budget.round_deadline_s",
            f"expected more than {quickest / MODELS_SHARE:g}, got {config.budget.round_deadline_s:g}",
            f"no model answers within {most_s:g} s, the share of a round that models have "
            f"(the quickest, {min(slow, key=lambda m: latency_s[m])}, takes {quickest:g} s)",
        )
    return [
        f"models: {m}: it takes {latency_s[m]:g} s to answer and a round gives models {most_s:g} s "
        "(budget.round_deadline_s), so each of its turns will be late"
        for m in slow
    ]


def _to_be_observed(config: RunConfig) -> RunPlan:
    """A plan whose scenario can be observed; of several regions, one with most neighbours to hear of."""
    if config.regions is None:
        return compose(config)
    regions = compose_regions(config)
    neighbours = config.regions.neighbours
    most = max(range(len(neighbours)), key=lambda region: len(neighbours[region]))
    region_of(regions.plans[most]).elsewhere = tuple(
        (regions.names[n], regions.plans[n].market.opening_reference_ticks) for n in neighbours[most]
    )
    return regions.plans[most]


def check_desks(config: RunConfig) -> None:
    """ConfigError where the run has desks and this environment has no smolagents; a replay needs none."""
    if any(config.minds.get(desk.name) for desk in config.traders.desks):
        need_smolagents("traders.desks")


def need_smolagents(place: str) -> None:
    """ConfigError at `place` where smolagents, an optional part, is not installed."""
    if importlib.util.find_spec("smolagents") is None:
        raise ConfigError(
            place,
            "desks need smolagents, which is not installed",
            "install it with `pip install 'thousand-token-wood[desks]'`",
        )


def _mechanisms(config: MarketConfig, goods: tuple[str, ...]) -> tuple[Mechanism, ...]:
    """How each good is matched; ConfigError if one is named that the scenario does not have."""
    for good in config.mechanisms:
        if good not in goods:
            raise ConfigError(
                f"market.mechanisms.{good}",
                f"there is no such good{_suggest(good, list(goods))}",
                f"known: {', '.join(goods)}",
            )
    return tuple(config.mechanisms.get(good, config.mechanism) for good in goods)


def _override(data: dict[str, Any], override: str) -> None:
    place, equals, text = override.partition("=")
    if not equals or not place:
        raise ConfigError(f"--set {override}", "expected a.b=value", "for example --set rounds=10")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}", "the value is not YAML") from error
    here: Any = data
    *path, last = place.split(".")
    for key in path:
        here = _child(here, key, place)
    if isinstance(here, list):
        here[_index(here, last, place)] = value
    else:
        here[last] = value


def _child(here: Any, key: str, place: str) -> Any:
    if isinstance(here, list):
        return here[_index(here, key, place)]
    child = here.setdefault(key, {})
    if child is None:
        child = here[key] = {}
    if not isinstance(child, dict | list):
        raise ConfigError(f"--set {place}", f"{key} has a value and no keys below it")
    return child


def _index(here: list[Any], key: str, place: str) -> int:
    if not key.isdigit() or int(key) >= len(here):
        raise ConfigError(f"--set {place}", f"expected a number from 0 to {len(here) - 1} in place of {key!r}")
    return int(key)


def _validate(model: type[Model], data: dict[str, Any], prefix: str) -> Model:
    try:
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise _config_error(model, error.errors()[0], prefix) from error


def _config_error(model: type[BaseModel], error: ErrorDetails, prefix: str) -> ConfigError:
    location, parent = _resolve(model, error["loc"])
    place = prefix + ".".join(location)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, _Misplaced):
        return ConfigError(cause.place, str(cause))
    if isinstance(cause, ValueError):
        return ConfigError(place.rstrip(".") or "config", str(cause))
    match error["type"]:
        case "extra_forbidden":
            known = list(parent.model_fields)
            key = str(error["loc"][-1])
            return ConfigError(place, f"there is no such key{_suggest(key, known)}", f"known: {', '.join(known)}")
        case "missing":
            return ConfigError(place, "this key is missing", "`swarm validate --explain` says what it means")
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in error["ctx"]["expected_tags"].split(",")]
            tag = str(error["ctx"]["tag"])
            return ConfigError(
                f"{place}.engine", f"expected one of {', '.join(tags)}, got {_short(tag)}{_suggest(tag, tags)}"
            )
        case _:
            message = error["msg"][0].lower() + error["msg"][1:]
            expected = message.replace("input should be", "expected").replace("should", "must")
            return ConfigError(place, f"{expected}, got {_short(error['input'])}")


def _resolve(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """A location as the file's writer sees it, without the tags of unions, and the model that its last part is in."""
    here, tagged, place = model, dict[str, type[BaseModel]](), list[str]()
    parent = here
    for part in location:
        if part in tagged:
            here, tagged = tagged[str(part)], {}
            parent = here
            continue
        if part != "[key]":
            place.append(str(part))
        parent = here
        if isinstance(part, str) and part in here.model_fields:
            annotation = here.model_fields[part].annotation
            tagged = _tagged(annotation)
            here = here if tagged else _model_of(annotation) or here
    return place, parent


def _tagged(annotation: Any) -> dict[str, type[BaseModel]]:
    """The members of a union whose members have tags, by tag, and of lists their items; nothing for any other type."""
    if get_origin(annotation) is Annotated:
        member, *marks = get_args(annotation)
        for mark in marks:
            if isinstance(mark, Tag):
                return {mark.tag: _model_of(member) or member}
    found: dict[str, type[BaseModel]] = {}
    for inner in getattr(annotation, "__args__", ()):
        found |= _tagged(inner)
    return found


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_of(inner):
            return found
    return None


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
