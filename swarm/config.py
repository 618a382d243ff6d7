"""A run's config: composed of each package's own section, read from one YAML file, resolved, digested, kept."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from swarm import scenarios
from swarm.agents.baselines import ARBITRAGE, BASELINES
from swarm.agents.config import BudgetConfig, TradersConfig
from swarm.errors import ConfigError, suggest
from swarm.llm.config import ModelConfig
from swarm.market.config import MarketConfig
from swarm.schema import StrictModel
from swarm.simulation.plan import config_digest
from swarm.simulation.presence import MAX_TRADERS, MIN_TRADERS, PopulationStep
from swarm.simulation.regions import (
    RegionsConfig,
    populations,
)

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
                    f"there is no such model{suggest(desk.model, names)}; known: {', '.join(names) or 'none'}",
                )
            if not (thinks_with := self.models[names.index(desk.model)]).takes_tools:
                raise _Misplaced(
                    f"traders.desks.{i}.model",
                    f"{desk.model} is a model of the engine {thinks_with.engine}, which can call no tool",
                )
        known = [*names, *desks, *BASELINES]
        for mind, weight in self.traders.minds.items():
            if mind not in known:
                raise _Misplaced(
                    f"traders.minds.{mind}", f"there is no such mind{suggest(mind, known)}; known: {', '.join(known)}"
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
        return self.traders.minds or dict.fromkeys(
            [*(m.name for m in self.models), *(d.name for d in self.traders.desks)], 1
        )

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
            "scenario.name", f"expected one of {', '.join(known)}, got {name!r}{suggest(str(name), known)}"
        )
    plugin = scenarios.find(str(name))
    section = _validate(plugin.Config, config.scenario, "scenario.")
    if config.regions and config.regions.tilt_permille and plugin.tilted is None:
        raise ConfigError(
            "regions.tilt_permille", f"the regions of {name} all begin alike", "set it to 0: only their seeds differ"
        )
    return config.model_copy(update={"scenario": section.model_dump(mode="json")})


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
            return ConfigError(place, f"there is no such key{suggest(key, known)}", f"known: {', '.join(known)}")
        case "missing":
            return ConfigError(place, "this key is missing", "`swarm validate --explain` says what it means")
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in error["ctx"]["expected_tags"].split(",")]
            tag = str(error["ctx"]["tag"])
            return ConfigError(
                f"{place}.engine", f"expected one of {', '.join(tags)}, got {_short(tag)}{suggest(tag, tags)}"
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


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
