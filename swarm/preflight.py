"""Checks what can be known before anything is started: that prompts fit, that models answer in time and can be used."""

import importlib.util
import logging
from dataclasses import replace
from typing import Protocol

import numpy as np

from swarm.agents.asking import branches_of
from swarm.agents.mind import Stage
from swarm.agents.minds import asking, definitions, models_of, plugin
from swarm.agents.observation import Observation
from swarm.agents.plan import Definition
from swarm.agents.shard import MODELS_SHARE
from swarm.config import RunConfig
from swarm.coordination import staffing
from swarm.errors import ConfigError
from swarm.llm import engines
from swarm.llm.check import are_checked, must_be_usable, warnings
from swarm.llm.protocol import ModelRequest
from swarm.llm.tokens import count_tokens
from swarm.planning import compose, scenario_of
from swarm.scenarios.protocol import MarketState
from swarm.simulation import parties
from swarm.simulation.acquaintance import longest_regard, personas
from swarm.simulation.plan import RunPlan
from swarm.simulation.region import region_of

log = logging.getLogger(__name__)


class Narrator(Protocol):
    """Somebody who is told what goes on before the first round and after the last."""

    def phase(self, text: str) -> None:
        """Tells that something which takes a while has begun."""
        ...


def check_budget(config: RunConfig) -> None:
    """Raises ConfigError where the first round's prompts leave no room for a reply; later ones are of the same size."""
    if not config.models:
        return
    plan, seen, row = _first_round(config)
    minds = asking(plan.shard)
    # Models asked once a turn are bound by the turn's budget; minds of several calls have bounds of their own.
    single = {model for mind in minds.values() if mind.most.calls == 1 for model in mind.models}
    single |= {plan.shard.cheaper[m] for m in single if m in plan.shard.cheaper}
    for model in plan.models:
        needed = plan.shard.form(model.name).longest(seen, row) + model.max_completion_tokens
        if model.name in single and needed > config.budget.tokens_per_turn:
            raise ConfigError(
                "budget.tokens_per_turn",
                f"expected at least {needed}, got {config.budget.tokens_per_turn}",
                f"a prompt takes {needed - model.max_completion_tokens} tokens and a reply of {model.name} up to "
                f"{model.max_completion_tokens} (models.*.max_completion_tokens)",
            )
    for name, mind in minds.items():
        definition = plan.shard.definitions[name]
        needed = plugin(definition).first_call(definition.section, plan.shard, seen)
        if needed > mind.most.tokens:
            raise ConfigError(
                f"{definition.key}.max_tokens",
                f"expected at least {needed}, which is what the first step takes, got {mind.most.tokens}",
                "each further step takes more, since it reads all before it",
            )
    _check_limits(config, plan)


def _first_round(config: RunConfig) -> tuple[RunPlan, Observation, int]:
    """Returns a plan, what its traders see in the first round, and the row of one whose own part is as long as any."""
    plan = _to_be_observed(config)
    nothing = MarketState(
        np.zeros((plan.traders, len(plan.scenario.goods) + 1), dtype=np.int64), plan.scenario.opening_reference_ticks
    )
    # Guests come last, and their own minds are shown what natives are; a rule in their place reads nothing.
    seen = plan.scenario.observe(1, nothing, None)
    # The longest persona, and as many acquaintances as are told of, so that no later prompt is longer.
    if any(said := personas(plan)) or plan.shard.traders.memory:
        words = (max(said, key=count_tokens), longest_regard(plan))
        seen = Observation(seen.public, replace(seen.private, words=(words,) * len(seen.private)))
    return plan, seen, len(seen.private) - 1 if config.regions and config.regions.abroad == "own" else 0


def _check_limits(config: RunConfig, plan: RunPlan) -> None:
    """Raises ConfigError where a run's budget would not let a single trader think, or cannot be reckoned."""
    budget = config.budget
    if not plan.models:
        return
    # The most tokens that any mind's turn may take.
    dearest = max(mind.most.tokens for mind in asking(plan.shard).values())
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
    # Dollars of one turn that is all of the dearest tokens: a budget below it can pay for nobody.
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


def first_requests(config: RunConfig) -> dict[str, ModelRequest]:
    """Returns by model a request as the run will make it, for a trader of the first round."""
    if not config.models:
        return {}
    plan, seen, row = _first_round(config)
    found: dict[str, ModelRequest] = {}
    for model in plan.models:
        form = plan.shard.form(model.name)
        # What the reply leaves of the turn's budget is the prompt's.
        budget = config.budget.tokens_per_turn - model.max_completion_tokens
        if (rendered := form.render(seen, row, budget)) is not None:
            behind, most = branches_of(form)(seen, row), model.max_completion_tokens
            schema = form.schema(seen, row)
            found[model.name] = ModelRequest(rendered.messages, schema, most, config.seed, branches=behind)
    return found


def models_time_s(config: RunConfig) -> float:
    """Returns the seconds of a round after which models are no longer waited for."""
    return MODELS_SHARE * config.budget.round_deadline_s


def check_deadline(config: RunConfig) -> list[str]:
    """Returns a line for each model whose answers must come too late; ConfigError where no trader's could come in time.

    Only a scripted policy's latency is known before the run. Baselines always answer in time.
    """
    most_s = models_time_s(config)
    names = [mind for mind, weight in config.minds.items() if weight]
    of = definitions([m.name for m in config.models], config.traders)
    # What asks no model stands for itself, as something that always answers in time.
    minds = [model for name in names for model in sorted(models_of([name], of)) or [name]]
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


def check_shares(config: RunConfig, plan: RunPlan) -> list[str]:
    """Returns a line on each mind that has a weight and gets no trader, since there are too few."""
    total, seats = sum(config.minds.values()), sum(guest.seats for guest in config.traders.guests)
    return [
        f"traders.minds.{name}: it decides for nobody: its share of {plan.traders - seats} traders is "
        f"{config.minds[name]}/{total}; give it more weight, or the run more traders"
        for name in plan.idle_minds
    ]


def check_rounds(config: RunConfig) -> list[str]:
    """Returns a line on each list of things that happen of which some begin after the last round, so never happen."""
    built_by, section = scenario_of(config)
    begins = dict(built_by.begins(section))
    for definition in _deciding(config).values():
        listed = plugin(definition).begins(definition.section)
        begins |= {f"{definition.key}.{key}": rounds for key, rounds in listed.items()}
    for name, party, own in parties.read(config.parties):
        begins |= {f"{parties.KEY}.{name}.{key}": rounds for key, rounds in party.begins(own).items()}
    found = []
    for key, rounds in begins.items():
        if late := sum(round_ > config.rounds for round_ in rounds):
            found.append(
                f"{key}: {late} of {len(rounds)} begin after round {config.rounds}, the last, and never happen"
            )
    return found


def _deciding(config: RunConfig) -> dict[str, Definition]:
    """Returns what the minds of the config that have a weight stand for."""
    of = definitions([m.name for m in config.models], config.traders)
    return {name: of[name] for name, weight in config.minds.items() if weight}


def check_in_vain(config: RunConfig, plan: RunPlan) -> None:
    """Raises ConfigError where a mind or a party of the config would do nothing here of what it is for."""
    parties.made(config.parties, config.seed, config.record()["models"])
    parties.must_suit(config.parties, plan.scenario)
    rests = config.market.rest_rounds > 0 and "continuous" in plan.market.mechanisms
    for name, definition in _deciding(config).items():
        stage = Stage(
            plan.minds.count(name), config.traders.contacts(plan.traders), rests, config.market.margin is not None
        )
        # A mind that decides for nobody is warned of, not refused.
        if stage.traders and (vain := plugin(definition).in_vain(definition.section, stage)) is not None:
            raise ConfigError(f"{definition.key}.{vain.key}", vain.reason, vain.remedy)


def check_advisers(config: RunConfig) -> list[str]:
    """Returns a line on each party whose model cannot answer what it is asked."""
    engine_of = {model.name: model for model in config.models}
    found = []
    for name, party, section in parties.read(config.parties):
        asked = party.asks(section)
        if asked is None or party.asks_for in engines.of(engine_of[asked[1]]).advises:
            continue
        key, model = asked
        what = f"{model} is of the engine {engine_of[model].engine}, which answers the menus of traders"
        found.append(f"{parties.KEY}.{name}.{key}: {what}, so it will answer nothing; name another model")
    return found


def _to_be_observed(config: RunConfig) -> RunPlan:
    """Returns a plan whose scenario can be observed; of several regions, one with most neighbours to hear of."""
    plan = compose(config)
    if plan.regions is None:
        return plan.run
    neighbours = plan.regions.neighbours
    most = max(range(len(neighbours)), key=lambda region: len(neighbours[region]))
    # The region with most neighbours has the longest prompt: prices of each are shown.
    region_of(plan.markets[most]).elsewhere = tuple(
        (plan.names[n], plan.markets[n].market.opening_reference_ticks) for n in neighbours[most]
    )
    return plan.markets[most]


def check_extras(config: RunConfig) -> None:
    """Raises ConfigError where a mind of the run imports what is not installed here; a replay needs none of it."""
    for definition in _deciding(config).values():
        if (extra := plugin(definition).extra) is not None:
            must_be_installed(*extra, definition.key)
    staffed, section = staffing.read(config.traders.staffing, config.budget.governed)
    if (needed := staffed.imports(section)) is not None:
        must_be_installed(*needed, f"{staffing.KEY}.name")


def must_be_installed(package: str, extra: str, key: str) -> None:
    """Raises ConfigError at `key` where a package is not installed that the optional part `extra` of ours brings."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            key,
            f"it needs {package}, which is not installed",
            f"install it with `pip install '.[{extra}]'` in a clone of the project",
        )


def check(config: RunConfig, plan: RunPlan, own_cluster: bool, here: bool, narrator: Narrator) -> None:
    """Raises before anything is started where the run cannot go well, and warn where a part of it cannot."""
    check_budget(config)
    check_extras(config)
    check_in_vain(config, plan)
    check_models(config, plan, own_cluster, here, narrator)
    for line in (*check_deadline(config), *check_shares(config, plan), *check_rounds(config), *check_advisers(config)):
        log.warning("%s", line)


def check_models(config: RunConfig, plan: RunPlan, own_cluster: bool, here: bool, narrator: Narrator) -> None:
    """Raises before anything is started where models cannot be used, or not in this way."""
    if config.runtime.http_port is not None and not own_cluster:
        raise ConfigError(
            "runtime.http_port",
            "models answer over HTTP on a cluster of the run's own alone",
            "set it to null, or run on such a one, which no sweep does",
        )
    if not are_checked(plan.models):
        return
    narrator.phase("checking the models")
    must_be_usable(plan.models, config.budget.tokens_per_turn, here=here, requests=first_requests(config))
    for line in warnings(plan.models):
        log.warning("%s", line)
