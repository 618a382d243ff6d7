"""Minds: one file each in this folder, with one export named MIND, found by the file's name.

It says what every mind's name in a config stands for, so that nobody else asks what kind of mind one is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from swarm.agents.baselines import BASELINES
from swarm.agents.config import CascadeConfig, CouncilConfig, DeskConfig, GuestConfig, TradersConfig
from swarm.agents.mind import Mind, MindPlugin, Rule
from swarm.agents.plan import Definition, ShardPlan
from swarm.coordination import staffing
from swarm.errors import ConfigError, suggest
from swarm.plugins import Plugins
from swarm.schema import checked

PLUGINS = Plugins("swarm.agents.minds", "MIND", "kind of mind")


def plugin(definition: Definition) -> MindPlugin:
    """Returns the plug-in that makes the minds of a definition."""
    found: MindPlugin = PLUGINS.find(definition.plugin, "traders.define")
    return found


def definitions(models: Sequence[str], traders: TradersConfig) -> dict[str, Definition]:
    """Returns what each name stands for that `traders.minds` may use: rules, models, desks and what is defined.

    ConfigError where a definition of the config is wrong or names a model that there is not.
    """
    found = {name: _defined("model", {"model": name}, f"traders.minds.{name}") for name in models}
    found |= {str(name): _defined("rule", {"rule": name}, f"traders.minds.{name}") for name in BASELINES}
    sections: list[tuple[str, DeskConfig | CouncilConfig | CascadeConfig | GuestConfig, str, tuple[str, ...]]] = [
        *(("desk", desk, f"traders.desks.{i}", ("model",)) for i, desk in enumerate(traders.desks)),
        *(("council", council, f"traders.councils.{i}", ("members",)) for i, council in enumerate(traders.councils)),
        *(("cascade", one, f"traders.cascades.{i}", ("small", "large")) for i, one in enumerate(traders.cascades)),
        *(("guest", guest, f"traders.guests.{i}", ()) for i, guest in enumerate(traders.guests)),
    ]
    for kind, listed, key, fields in sections:
        if listed.name in found:
            raise ConfigError(f"{key}.name", f"{listed.name!r} is the name of another mind", "give this one its own")
        found[listed.name] = own = Definition(kind, listed, key)
        # A field for each model, or one for all of them.
        asked = plugin(own).models(listed)
        for number, model in enumerate(asked):
            _must_be_known([model], models, f"{key}.{fields[min(number, len(fields) - 1)]}", found)
    if own_mind := staffing.mind_of(traders.staffing):
        name, kind, section = own_mind
        if name in found:
            raise ConfigError(f"{staffing.KEY}.name", f"{name!r} is the name of another mind", "give that one another")
        found[name] = Definition(kind, section, staffing.KEY)
    for name, given in traders.define.items():
        key = f"traders.define.{name}"
        if name in found:
            raise ConfigError(key, f"{name!r} is the name of another mind", "give this one its own")
        keys = dict(given)
        found[name] = own = _defined(str(keys.pop("mind", "")), keys, key)
        _must_be_known(plugin(own).models(own.section), models, key)
    return found


def _must_be_known(
    asked: Iterable[str], models: Sequence[str], key: str, minds: Mapping[str, Definition] | None = None
) -> None:
    for model in asked:
        if model not in models:
            known = ", ".join(models) or "none"
            if minds and model in minds:
                what = f"{model!r} is a mind of the kind {minds[model].plugin}, and only models can be asked here"
                raise ConfigError(key, what, f"known models: {known}")
            raise ConfigError(key, f"there is no model {model!r}{suggest(model, list(models))}", f"known: {known}")


def models_of(names: Iterable[str], of: Mapping[str, Definition]) -> set[str]:
    """Returns the models that these minds ask by themselves."""
    return {model for name in set(names) for model in plugin(of[name]).models(of[name].section)}


def own_models(plan: ShardPlan) -> dict[str, tuple[str, ...]]:
    """Returns by mind of a shard the models that it asks by itself, none for a rule."""
    return {name: tuple(sorted(models_of([name], plan.definitions))) for name in dict.fromkeys(plan.minds)}


def guests_of(plan: ShardPlan) -> frozenset[str]:
    """Returns the minds of a shard that are agents from outside: neither rules, nor do they ask models of the run."""
    return frozenset(plan.sections(GuestConfig))


def with_turns(plan: ShardPlan) -> frozenset[str]:
    """Returns the minds of a shard that have turns: they ask models, are guests, or write decisions by themselves."""
    asking_models = {name for name, asked in own_models(plan).items() if asked}
    of = plan.definitions
    writing = {name for name in plan.minds if plugin(of[name]).writes(of[name].section)}
    return guests_of(plan) | asking_models | writing


def models_with_tools(names: Iterable[str], of: Mapping[str, Definition]) -> set[str]:
    """Returns the models that these minds have call tools."""
    return models_of((name for name in names if plugin(of[name]).by_tools), of)


def models_asked(plan: ShardPlan) -> set[str]:
    """Returns the models that are or may be asked in a shard."""
    own = models_of(plan.minds, plan.definitions)
    return own | {plan.cheaper[m] for m in own if m in plan.cheaper} | {*staffing.models_of(plan.traders.staffing)}


def cast(plan: ShardPlan) -> dict[str, Mind | Rule]:
    """Returns the mind of each name in a shard, in the order of the first trader of each."""
    made: dict[str, Mind | Rule] = {}
    for name in dict.fromkeys(plan.minds):
        definition = plan.definitions[name]
        made[name] = plugin(definition).build(name, definition.section, plan)
    return made


def asking(plan: ShardPlan) -> dict[str, Mind]:
    """Returns the minds of a shard that ask models."""
    return {name: mind for name, mind in cast(plan).items() if not isinstance(mind, Rule)}


def look_back(plan: ShardPlan) -> bool:
    """Says whether some mind has its models call tools, with which they may look back on earlier rounds."""
    return any(plugin(definition).by_tools for definition in plan.definitions.values())


def thinks(plan: ShardPlan) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Returns for each trader of a shard whether its mind asks models."""
    names = asking(plan)
    return np.array([mind in names for mind in plan.minds], dtype=np.bool_)


def _defined(kind: str, section: dict[str, Any], key: str) -> Definition:
    found: MindPlugin = PLUGINS.find(kind, f"{key}.mind")
    known = ", ".join(found.Config.model_fields)
    return Definition(kind, checked(found.Config, section, f"{key}.", f"known: {known}"), key)
