"""What is rendered is what is read: prompts of both forms of a market, and the tables of a desk's tools."""

from functools import cache
from typing import Any, cast

import numpy as np
import pytest

from swarm.agents.config import DeskConfig
from swarm.agents.desk_tools import MAX_HEARD, Seat
from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.menus import LETTERS
from swarm.agents.observation import Observation
from swarm.agents.prompt_reader import PromptRead, read_prompt
from swarm.config_file import resolve
from swarm.runtime.play import Shown, play
from swarm.simulation.plan import RunPlan

BUDGET = 1_000_000
SCENARIOS: dict[str, dict[str, Any]] = {
    "wood": {"name": "wood", "shocks": [{"kind": "blight", "round": 2, "good": "berries"}]},
    "double_auction": {"name": "double_auction"},
}


@cache
def played(scenario: str) -> tuple[RunPlan, list[Observation]]:
    models = [{"name": "o", "temperament": "momentum"}, {"name": "m", "temperament": "panic", "form": "menu"}]
    config = resolve({"rounds": 4, "population": 10, "models": models, "scenario": SCENARIOS[scenario]})
    shown = Shown()
    return play(config, traders=shown.asking).plan.run, shown.seen


def must_say(read: PromptRead, plan: RunPlan, seen: Observation, row: int) -> None:
    """Holds what was read against what the trader was shown."""
    public, private, barter = seen.public, seen.private, seen.private.bartering
    goods = [*read.goods.values()]
    assert [g.name for g in goods] == list(plan.shard.rules.goods)
    for column, shown in (
        ("price", public.reference_ticks),
        ("change", public.change_ticks),
        ("unmet_bids", public.unfilled_buy_lots),
        ("unmet_asks", public.unfilled_sell_lots),
        ("have", private.have[row]),
        ("need", barter.need[row]),
        ("spare", barter.spare[row]),
        ("worth", barter.worth_ticks[row]),
    ):
        assert [getattr(good, column) for good in goods] == shown.tolist(), column
    assert read.purse == private.cash_cents[row] // plan.shard.tick_cents


@pytest.mark.parametrize("form", ["orders", "menu"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_a_form_renders_is_read_back(scenario: str, form: str) -> None:
    plan, shown = played(scenario)
    asks = plan.shard.forms[form]
    for seen in shown:
        for row in range(len(seen.private)):
            rendered = asks.render(seen, row, BUDGET)
            assert rendered is not None
            read = read_prompt(rendered.messages[-1].content)
            must_say(read, plan, seen, row)
            makes = int(seen.private.bartering.makes[row])
            named = plan.shard.rules.goods[makes] if makes >= 0 else None
            assert read.makes == (named or {"orders": None, "menu": "nothing"}[form])
            assert read.mood == seen.private.bartering.mood[row]
            assert read.news == [f"NEWS {line}" for line in seen.public.news]
            assert read.heard == [f"- {line}" for line in seen.private.heard[row]]
    assert any(seen.public.news for seen in shown) == (scenario == "wood")
    assert any(any(seen.private.heard) for seen in shown)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_menu_is_read_back_line_by_line(scenario: str) -> None:
    plan, shown = played(scenario)
    asks = cast(MenuForm, plan.shard.forms["menu"])
    for seen in shown:
        for row in range(len(seen.private)):
            rendered, menu = asks.render(seen, row, BUDGET), asks.menu(seen, row)
            assert rendered is not None
            read = read_prompt(rendered.messages[-1].content)
            assert read.sayings == dict(zip(LETTERS, menu.sayings, strict=False))
            assert [(c.letter, c.gain, c.expect, c.trend, c.edge, c.needs, c.buys, c.sells) for c in read.choices] == [
                (letter, a.gain, a.expected, a.trend, a.edge, a.needs, a.buys, a.sells)
                for letter, a in zip(LETTERS, menu.actions, strict=False)
            ]


def test_what_a_desks_tools_return_is_read_like_a_prompt() -> None:
    plan, shown = played("wood")
    for seen in shown:
        for row in range(len(seen.private)):
            seat = Seat(row, DeskConfig(name="desk", model="o"), plan.shard.rules, plan.shard.tick_cents)
            seat.begin(Observation(seen.public, seen.private.take(np.array([row]))))
            read = read_prompt("\n".join([seat.market_data(), seat.portfolio(), seat.portfolio_delta()]))
            must_say(read, plan, seen, row)
            assert read.heard == [f"- {line}" for line in seen.private.heard[row][:MAX_HEARD]]
