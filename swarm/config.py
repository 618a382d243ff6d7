"""A run's config: composed of each package's own section, read from one YAML file, resolved, digested, kept."""

import difflib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import numpy as np
import yaml
from pydantic import BaseModel, Field, Tag, ValidationError, model_validator
from pydantic_core import ErrorDetails

from swarm import scenarios
from swarm.agents import desk_tools, menu, prompt
from swarm.agents.baselines import BASELINES
from swarm.agents.config import BudgetConfig, TradersConfig
from swarm.agents.decision import Rules
from swarm.agents.shard import ShardPlan
from swarm.errors import ConfigError
from swarm.llm.config import ModelConfig
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens
from swarm.market import margin
from swarm.market.config import MarketConfig, Mechanism
from swarm.scenarios.protocol import MarketState
from swarm.schema import StrictModel
from swarm.simulation.market import MarketPlan
from swarm.simulation.plan import RunPlan, assign_minds, config_digest

Model = TypeVar("Model", bound=StrictModel)


class RuntimeConfig(StrictModel):
    """Where a run's processes live; nothing here changes a run's history."""

    traders_per_actor: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many traders one shard hosts, a shard being one Ray actor; null: by the population and the cores."""

    num_cpus: int | None = Field(default=None, ge=1, le=1_024)
    """CPU cores that a cluster of the run's own may use; null: all."""

    object_store_mb: int = Field(default=200, ge=80, le=100_000)
    """Size of the object store of a cluster of the run's own, in megabytes."""

    dashboard_port: int | None = Field(default=None, ge=1, le=65_535)
    """Port of Ray's dashboard on a cluster of the run's own; null: no dashboard, which starts faster."""

    http_port: int | None = Field(default=None, ge=1, le=65_535)
    """Port of this machine alone on which the models of a cluster of the run's own answer OpenAI's protocol for other
    people's clients, as long as the run lasts; null: on none."""

    snapshot_rounds: int = Field(default=20, ge=0, le=1_000_000)
    """After how many rounds the market writes a snapshot beside its journal, from which one that is lost goes on; 0:
    never, and it reads all of its journal."""

    start_timeout_s: float = Field(default=120.0, gt=0.0, le=3_600.0)
    """Seconds within which the cluster, the models and the shards must be up."""


class RunConfig(StrictModel):
    """One run."""

    name: str = Field(default="run", min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What the run's folder is called: letters, digits, `.`, `_`, `-`."""

    seed: int = Field(default=1, ge=0, le=2**63 - 1)
    """What all chance of the run is drawn from."""

    rounds: int = Field(default=60, ge=1, le=1_000_000)
    """How many rounds the run has."""

    population: int = Field(default=40, ge=2, le=200_000)
    """How many traders there are."""

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
            if self.models[names.index(desk.model)].engine == "embedded":
                raise _Misplaced(
                    f"traders.desks.{i}.model",
                    f"{desk.model} is an embedded model, which picks letters of a menu and can call no tool",
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

    @property
    def minds(self) -> dict[str, int]:
        """Weights by mind, with the default filled in."""
        return self.traders.minds or {m.name: 1 for m in (*self.models, *self.traders.desks)}

    def record(self) -> dict[str, Any]:
        """The config in plain values, every default written out."""
        return self.model_dump(mode="json")

    def history_record(self) -> dict[str, Any]:
        """What of the config shapes the history: all but where the processes live."""
        return {key: value for key, value in self.record().items() if key != "runtime"}

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
    section = _validate(scenarios.find(str(name)).Config, config.scenario, "scenario.")
    return config.model_copy(update={"scenario": section.model_dump(mode="json")})


def compose(config: RunConfig) -> RunPlan:
    """The plan of a run; a fresh one for each run, since it holds the scenario's state."""
    plugin = scenarios.find(config.scenario["name"])
    section = plugin.Config.model_validate_json(json.dumps(config.scenario))
    scenario = plugin.build(section, config.seed, config.population, config.rounds, config.market)
    rules = Rules(
        goods=scenario.goods,
        max_orders=config.market.max_orders_per_round,
        max_price_ticks=config.market.max_price_ticks,
        max_quantity_lots=config.market.max_quantity_lots,
    )
    minds = assign_minds(config.seed, {m: w for m, w in config.minds.items() if w}, scenario.makes)
    at_desks = {d.model for d in config.traders.desks if d.name in minds}
    return RunPlan(
        name=config.name,
        seed=config.seed,
        rounds=config.rounds,
        scenario_name=plugin.name,
        scenario=scenario,
        models=tuple(m for m in config.models if m.name in minds or m.name in at_desks),
        market=MarketPlan(
            config.market,
            config.population,
            tuple(scenario.opening_reference_ticks.tolist()),
            scenario.named_accounts + (margin.ACCOUNTS if config.market.margin else ()),
            _mechanisms(config.market, scenario.goods),
        ),
        shard=ShardPlan(
            seed=config.seed,
            first_trader=0,
            minds=minds,
            completion_tokens={m.name: m.max_completion_tokens for m in config.models},
            rules=rules,
            scenario_rules=scenario.rules_text(),
            tick_cents=config.market.tick_cents,
            traders=config.traders,
            budget=config.budget,
            menu_minds=frozenset(m.name for m in config.models if m.form == "menu"),
        ),
        config_record=config.history_record(),
        config_sha256=config.sha256(),
    )


def check_budget(config: RunConfig) -> None:
    """ConfigError where the first round's prompts leave no room for a reply; later prompts are of the same size."""
    if not config.models:
        return
    # A plan of its own, since observing moves a scenario's state.
    plan = compose(config)
    nothing = MarketState(
        np.zeros((plan.traders, len(plan.scenario.goods) + 1), dtype=np.int64), plan.scenario.opening_reference_ticks
    )
    seen = plan.scenario.observe(1, nothing, None)
    system = prompt.system_text(plan.shard.scenario_rules, plan.shard.rules)
    public = prompt.public_text(seen.public, plan.scenario.goods)
    own = prompt.private_text(seen.private, 0, plan.scenario.goods, config.market.tick_cents)
    of_orders = prompt.render(system, public, own, (), prompt_budget=sys.maxsize)
    of_menu = menu.render_menu(
        menu.menu_system_text(plan.shard.scenario_rules),
        menu.menu_public_text(seen.public, plan.scenario.goods),
        seen.private,
        0,
        menu.widest_menu(plan.shard.rules),
        plan.scenario.goods,
        config.market.tick_cents,
        prompt_budget=sys.maxsize,
    )
    for model in plan.models:
        rendered = of_menu if model.form == "menu" else of_orders
        needed = (rendered.tokens if rendered else 0) + model.max_completion_tokens
        if model.name in plan.minds and needed > config.budget.tokens_per_turn:
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
    """The members of a union whose members have tags, by tag; nothing for any other type."""
    if get_origin(annotation) is Annotated:
        member, *marks = get_args(annotation)
        for mark in marks:
            if isinstance(mark, Tag):
                return {mark.tag: member}
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
