"""Makes the plans of a run from its config, for one market or several. It knows no file and no process."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from swarm import scenarios
from swarm.agents.baselines import ARBITRAGE
from swarm.agents.decision import Rules
from swarm.agents.forms.orders import FORM as ORDERS_FORM
from swarm.agents.forms.protocol import Form, FormPlugin, FormTerms
from swarm.agents.minds import definitions, models_of, models_with_tools, plugin
from swarm.agents.minds.own import OwnConfig
from swarm.agents.plan import Definition, OwnRule, ShardPlan
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.coordination import staffing
from swarm.errors import ConfigError, suggest
from swarm.llm import engines
from swarm.llm.entry import usd_per_turn
from swarm.llm.protocol import TOOLS
from swarm.market import margin
from swarm.market.config import mechanisms_of
from swarm.plugins import VARIABLE
from swarm.scenarios.protocol import (
    Barters,
    BringsRules,
    Int64,
    KnowsMinds,
    Scenario,
    ScenarioPlugin,
    lacking,
    own_seats,
)
from swarm.schema import StrictModel
from swarm.simulation import parties
from swarm.simulation.acquaintance import must_be_for_somebody
from swarm.simulation.compute import COMPUTE
from swarm.simulation.history import REGION
from swarm.simulation.joint import joint_plan
from swarm.simulation.market import MarketPlan
from swarm.simulation.parties.road import AWAY, HOME, Travellers
from swarm.simulation.plan import RunPlan, WorldPlan, config_digest
from swarm.simulation.population import DEPARTED
from swarm.simulation.region import Guests, Region
from swarm.simulation.regions import RegionsConfig, choose_travellers, populations, region_seed
from swarm.simulation.shares import assign_minds, seat_guests


def compose(config: RunConfig, past: WorldPlan | None = None) -> WorldPlan:
    """Returns the plan of a run; a fresh one for each run, since it holds the scenarios' state.

    `past` is what the run began with that this one leaves: where regions lie and who travels stays as it was founded.
    """
    founding_seed = past.founding_seed if past else config.seed
    if config.regions:
        return _several(config, config.regions, founding_seed)
    plugin, section = scenario_of(config)
    scenario = _built(plugin, section, config.seed, config.most_traders, config)
    minds = _minds(config, _groups(scenario), own_seats(scenario))
    if isinstance(scenario, KnowsMinds):
        scenario.seated(minds)
    plan = _plan(config, config.seed, scenario, minds, config.history_record())
    return WorldPlan(plan, (plan,), founding_seed)


def composed(record: dict[str, Any], past: WorldPlan | None = None) -> WorldPlan:
    """Returns the plan of the config of a run that a journal has."""
    return compose(resolve(record), past)


def _several(config: RunConfig, regions: RegionsConfig, founding_seed: int) -> WorldPlan:
    """Returns the plan of a run of several regions, whose founding seed may be another than the config's."""
    names = regions.all_names
    natives = populations(config.most_traders, len(names))
    travellers = choose_travellers(regions, founding_seed, natives)
    # Each region has a seed of its own for what happens, and one from the founding for what its land is like.
    seeds = [region_seed(config.seed, number) for number in range(len(names))]
    settings = [
        _setting(config, regions, travellers, number, region_seed(founding_seed, number), seed, natives[number])
        for number, seed in enumerate(seeds)
    ]
    if regions.travellers and not isinstance(settings[0].scenario, Barters):
        raise ConfigError(
            "regions.travellers", "this scenario has no goods to carry from one region to another", "set it to 0"
        )
    groups = [_groups(setting.scenario) for setting in settings]
    minds = assign_minds(list(zip(seeds, groups, strict=True)), _weights(config))
    plans = []
    for number, setting in enumerate(settings):
        # Guests sit behind those who live here, in the order of travellers.
        abroad = [
            ARBITRAGE if regions.abroad == "arbitrage" else minds[home][seat]
            for (home, away), (seat, _) in zip(travellers.region.tolist(), travellers.seat.tolist(), strict=True)
            if away == number
        ]
        record = {**config.history_record(), REGION: names[number]}
        # Markets run side by side, so each gets its share of the run's budget.
        own_part = config.model_copy(update={"budget": config.budget.part(len(names))})
        plan = _plan(own_part, seeds[number], setting, (*minds[number], *abroad), record)
        plans.append(replace(plan, rank=_ranks(travellers, natives, number)))
    # The run's own plan counts everybody once; guests are the same traders in a second seat.
    first = _plan(config, config.seed, settings[0], tuple(m for own in minds for m in own), config.history_record())
    run, number_of = joint_plan(plans, first, regions, travellers)
    ranks = [_ranks(travellers, natives, number)[:own] for number, own in enumerate(natives)]
    run = replace(run, rank=np.concatenate(ranks))
    return WorldPlan(run, tuple(plans), founding_seed, regions, travellers, number_of)


def _ranks(travellers: Travellers, natives: Sequence[int], number: int) -> Int64:
    """Returns each seat's rank, [seats]: how many traders must be there before it, where regions get one in turn."""
    regions = len(natives)
    guests = np.flatnonzero(travellers.region[:, AWAY] == number)
    # A guest is there as soon as it is there at home.
    at_home = travellers.seat[guests, HOME] * regions + travellers.region[guests, HOME]
    ranks: Int64 = np.concatenate([np.arange(natives[number]) * regions + number, at_home])
    return ranks


def _setting(
    config: RunConfig,
    regions: RegionsConfig,
    travellers: Travellers,
    number: int,
    land_seed: int,
    seed: int,
    natives: int,
) -> Region:
    """Returns the scenario of one region, on land that is drawn from `land_seed`, with the guests that come to it."""
    plugin, section = scenario_of(config)
    own = plugin.tilted(section, land_seed, regions.tilt_permille) if plugin.tilted else section
    guests = np.flatnonzero(travellers.region[:, AWAY] == number)
    homes = tuple(regions.all_names[home] for home in travellers.region[guests, HOME].tolist())
    scenario = _built(plugin, own, seed, natives, config)
    return Region(scenario, Guests(homes, regions.fee_permille, regions.capacity_lots))


def _built(plugin: ScenarioPlugin, section: StrictModel, seed: int, traders: int, config: RunConfig) -> Scenario:
    """A scenario of so many traders; ConfigError where it lacks something that the round loop will ask for."""
    scenario = plugin.build(section, seed, traders, config.rounds, config.market)
    if missing := lacking(scenario):
        raise ConfigError(
            "scenario.name",
            f"the scenario {plugin.name!r} lacks {', '.join(missing)}",
            "swarm/scenarios/protocol.py says what each is for",
        )
    must_be_for_somebody(config.traders, scenario, None if config.regions else config.most_traders)
    return scenario


def scenario_of(config: RunConfig) -> tuple[ScenarioPlugin, StrictModel]:
    """Returns the plug-in of a run's scenario, and its section of the config."""
    plugin = scenarios.find(config.scenario["name"])
    return plugin, plugin.Config.model_validate_json(json.dumps(config.scenario))


def _definitions(config: RunConfig, scenario: Scenario) -> dict[str, Definition]:
    """Returns what minds' names stand for; ConfigError where one is that of a rule that fills the scenario's seats."""
    of = definitions([m.name for m in config.models], config.traders)
    for rule in dict.fromkeys(own_seats(scenario).values()):
        if rule in of and of[rule].section != OwnConfig(rule=rule):
            raise ConfigError(of[rule].key, f"{rule!r} is the name of a rule of this scenario", "give it another")
        of[rule] = Definition("own", OwnConfig(rule=rule), "scenario")
    return of


def _minds(config: RunConfig, kinds: Int64, own: Mapping[int, str]) -> tuple[str, ...]:
    """Returns the mind of each trader of a single market: the scenario's `own` and guests have their seats.

    All others share the rest.
    """
    seats = {guest.name: guest.seats for guest in config.traders.guests}
    if own and seats:
        raise ConfigError("traders.guests", "this scenario fills its seats itself", "leave them out")
    if not seats and not own:
        return assign_minds([(config.seed, kinds)], _weights(config))[0]
    # Guests sit among those who stay from the first round to the last.
    seated = dict(own) or seat_guests(config.seed, kinds, seats, config.fewest_traders)
    others = np.setdiff1d(np.arange(len(kinds)), list(seated))
    shared = assign_minds([(config.seed, kinds[others])], _weights(config))[0] if len(others) else ()
    minds = seated | dict(zip(others.tolist(), shared, strict=True))
    return tuple(minds[trader] for trader in range(len(kinds)))


def _weights(config: RunConfig) -> dict[str, int]:
    return {mind: weight for mind, weight in config.minds.items() if weight}


def _plan(config: RunConfig, seed: int, scenario: Scenario, minds: tuple[str, ...], record: dict[str, Any]) -> RunPlan:
    """Returns the plan of one market with these minds, drawn from `seed`, whose journal begins with `record`."""
    rules = Rules(
        goods=scenario.goods,
        max_orders=config.market.max_orders_per_round,
        max_price_ticks=config.market.max_price_ticks,
        max_quantity_lots=config.market.max_quantity_lots,
        max_stand_rounds=config.traders.standing.max_rounds,
        lends=config.market.margin is not None,
    )
    # What minds are, which models they ask, and which of these must call tools.
    of = _definitions(config, scenario)
    form_of = _form_of(config, scenario, of)
    asked = models_of(minds, of)
    with_tools = models_with_tools(minds, of)
    cheaper = _cheaper(config, asked, with_tools, form_of)
    terms = FormTerms(scenario.rules_text(), seed, rules, config.market.tick_cents, config.traders.templates)
    _check_barter(scenario, minds, of)
    _check_margin(config, scenario)
    staffed = _staffed(config, asked, with_tools, form_of)
    # Market and shard get the same rules, so that what a form refuses the market would refuse, too.
    return RunPlan(
        name=config.name,
        seed=seed,
        rounds=config.rounds,
        scenario_name=config.scenario["name"],
        scenario=scenario,
        # Only models that may be asked are started.
        models=tuple(m for m in config.models if m.name in asked | staffed | set(cheaper.values())),
        market=MarketPlan(
            config.market,
            len(minds),
            tuple(scenario.opening_reference_ticks.tolist()),
            _named_accounts(config, scenario),
            mechanisms_of(config.market, scenario.goods),
            seed=seed,
        ),
        shard=ShardPlan(
            seed=seed,
            first_trader=0,
            minds=minds,
            definitions={name: of[name] for name in dict.fromkeys(minds)},
            completion_tokens={m.name: m.max_completion_tokens for m in config.models},
            rules=rules,
            scenario_rules=terms.setting,
            tick_cents=config.market.tick_cents,
            traders=config.traders,
            budget=config.budget,
            forms=_forms(scenario, {*form_of.values()}, [of[mind] for mind in minds], terms),
            form_of=form_of,
            cheaper=cheaper,
            own_rules=_own_rules(scenario, of),
            crews={mind: _seats(minds, mind) for mind in dict.fromkeys(minds) if plugin(of[mind]).crew},
            usd_per_turn={m.name: usd_per_turn(m, config.budget.tokens_per_turn) or 0.0 for m in config.models},
        ),
        config_record=record,
        config_sha256=config_digest(record),
        population=() if isinstance(config.population, int) else config.population,
        idle_minds=tuple(name for name in _weights(config) if name not in minds),
    )


def _named_accounts(config: RunConfig, scenario: Scenario) -> tuple[str, ...]:
    """Returns the accounts besides the traders': the scenario's, and one for each part that the run has."""
    staffed_by, _ = staffing.read(config.traders.staffing, config.budget.governed)
    lending = margin.ACCOUNTS if config.market.margin else ()
    departed = () if isinstance(config.population, int) else (DEPARTED,)
    computing = (COMPUTE,) if staffed_by.charges else ()
    # Several parties may share an account, and a scenario may have it already.
    of_parties = parties.accounts_at_hand(config.parties, scenario.goods)
    return tuple(dict.fromkeys((*scenario.named_accounts, *lending, *departed, *computing, *of_parties)))


def _cheaper(config: RunConfig, asked: set[str], with_tools: set[str], form_of: Mapping[str, str]) -> dict[str, str]:
    """Returns for each model that is asked the cheapest one of its form, if cheaper; nothing without a run's budget.

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
        tools = model.name in with_tools
        # Only a model that answers the same prompt can stand in for another.
        alike = [m for m in config.models if form_of[m.name] == form_of[model.name]]
        fit = [m for m in alike if not tools or TOOLS in engines.of(m).abilities]
        prices = {m.name: usd_per_turn(m, config.budget.tokens_per_turn) for m in fit}
        known = {name: usd for name, usd in prices.items() if usd is not None and usd < dear}
        if known:
            found[model.name] = min(known, key=lambda name: known[name])
    return found


def _staffed(config: RunConfig, asked: set[str], with_tools: set[str], form_of: Mapping[str, str]) -> set[str]:
    """Returns the models that the staffing may choose; ConfigError where one cannot stand in for those asked."""
    found = {*staffing.models_of(config.traders.staffing)}
    if staffing.mind_of(config.traders.staffing):
        # It chooses for the mind that it brings along alone, whose models they are.
        return found
    entries = {model.name: model for model in config.models}
    for name in sorted(found):
        if with_tools and TOOLS not in engines.of(entries[name]).abilities:
            raise ConfigError(staffing.KEY, f"{name} can call no tool, and some minds have theirs call tools")
        if other := sorted(model for model in asked if form_of[model] != form_of[name]):
            raise ConfigError(
                staffing.KEY, f"{name} answers in another form than {other[0]}", "give both the same models[].form"
            )
    return found


def _groups(scenario: Scenario) -> Int64:
    """Returns the kinds of traders over which minds are spread evenly: by what they make, where they barter."""
    # Else one mind might have all makers of a good, and the comparison of minds would be one of goods.
    return scenario.makes if isinstance(scenario, Barters) else scenario.trader_kind


def _form_of(config: RunConfig, scenario: Scenario, of: Mapping[str, Definition]) -> dict[str, str]:
    """Returns the form of each model: the scenario's, if it has one alone, or the one that the model's entry names."""
    offered = scenario.forms()
    only = next(iter(offered)) if len(offered) == 1 else None
    found = {model.name: only or model.form for model in config.models}
    for i, model in enumerate(config.models):
        key, name = f"models.{i}.form", found[model.name]
        if name not in offered:
            reason = f"this scenario does not ask in the form {name!r}{suggest(name, list(offered))}"
            raise ConfigError(key, reason, f"known: {', '.join(offered)}; {VARIABLE} names modules with more")
        if offered[name].barters and not isinstance(scenario, Barters):
            fit = ", ".join(other for other, form in offered.items() if not form.barters)
            raise ConfigError(key, f"{name!r} asks traders who barter, and those of this scenario do not", f"use {fit}")
        for ability in sorted(offered[name].needs - engines.of(model).abilities):
            able = ", ".join(engines.able_to(ability)) or "none at hand"
            reason = f"{name!r} needs an engine that has {ability!r}, and {model.engine!r} has not"
            raise ConfigError(key, reason, f"engines that have it: {able}")
    for definition in of.values():
        _check_form(definition, found, offered)
        _check_market(definition, scenario)
    return found


def _forms(
    scenario: Scenario, answered: set[str], definitions: Sequence[Definition], terms: FormTerms
) -> dict[str, Form[Any]]:
    """Returns the forms that models answer in, and those that minds read besides, as far as the scenario has them."""
    offered = scenario.forms()
    read = {name for definition in definitions for name in plugin(definition).reads if name in offered}
    return {name: offered[name].build(terms) for name in sorted(answered | read)}


def _check_form(definition: Definition, form_of: Mapping[str, str], offered: Mapping[str, FormPlugin]) -> None:
    """Raises ConfigError where a model of a mind answers in another form than that kind of mind can use."""
    made_by = plugin(definition)
    models = made_by.models(definition.section) if made_by.form else ()
    # Who votes does so in any one form that has a ballot, which is the first member's.
    voted = made_by.votes and offered[form_of[models[0]]].ballot
    needed = form_of[models[0]] if voted else made_by.form
    for model in (one for one in models if form_of[one] != needed):
        reason = f"{model!r} answers in the form {form_of[model]!r}, and {made_by.name} minds need {needed!r}"
        raise ConfigError(definition.key, reason, f"set `form: {needed}` at the model {model!r}")


def _check_barter(scenario: Scenario, minds: tuple[str, ...], of: Mapping[str, Definition]) -> None:
    """Raises ConfigError where a mind needs to know what traders make, and the scenario's do not barter."""
    for mind in dict.fromkeys(minds):
        if plugin(of[mind]).barters and not isinstance(scenario, Barters):
            raise ConfigError(
                f"traders.minds.{mind}",
                "decides for traders who barter, and those of this scenario do not",
                "use minds that ask a model",
            )


def _check_market(definition: Definition, scenario: Scenario) -> None:
    """Raises ConfigError where a mind trades at a market, and the scenario has none, or not the good it means."""
    offered, made_by = scenario.forms(), plugin(definition)
    if made_by.orders and ORDERS_FORM.name not in offered:
        what = f"a mind of the kind {made_by.name} puts orders to a market"
        raise ConfigError(definition.key, f"{what}, and this scenario asks in {', '.join(offered)}")
    for field, good in made_by.goods(definition.section).items():
        if good not in scenario.goods:
            what = f"there is no such good{suggest(good, list(scenario.goods))}"
            raise ConfigError(f"{definition.key}.{field}", what, f"known: {', '.join(scenario.goods)}")


def _seats(minds: tuple[str, ...], name: str) -> tuple[int, ...]:
    return tuple(seat for seat, mind in enumerate(minds) if mind == name)


def _own_rules(scenario: Scenario, of: Mapping[str, Definition]) -> dict[str, OwnRule]:
    """Returns the rules that the scenario brings along; ConfigError where a mind is one that it has not."""
    own_rules = dict(scenario.own_rules()) if isinstance(scenario, BringsRules) else {}
    # Those that decide for nobody, too: what is defined is meant to be used.
    for definition in of.values():
        section = definition.section
        if isinstance(section, OwnConfig) and section.rule not in own_rules:
            known = ", ".join(own_rules) or "none, so use a mind of the kind `rule` or a model"
            reason = f"this scenario has no rule {section.rule!r}{suggest(section.rule, list(own_rules))}"
            raise ConfigError(f"{definition.key}.rule", reason, f"known: {known}")
    return own_rules


def _check_margin(config: RunConfig, scenario: Scenario) -> None:
    """Raises ConfigError where traders may borrow and there is nothing to borrow against."""
    if config.market.margin and not scenario.goods:
        raise ConfigError("market.margin", "this scenario has no goods, so nobody lends in it", "set it to null")
