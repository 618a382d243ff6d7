"""The forms of a market: those in which any trader who sends limit orders can be asked."""

from collections.abc import Mapping
from typing import Any

from swarm.agents.decision import Rules
from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.orders import OrdersForm
from swarm.agents.forms.protocol import Form


def market_forms(setting: str, seed: int, rules: Rules, tick_cents: int) -> Mapping[str, Form[Any]]:
    """Returns by name the forms in which traders are asked for orders; `setting` begins every prompt."""
    return {
        OrdersForm.name: OrdersForm(setting, rules, tick_cents),
        MenuForm.name: MenuForm(seed, setting, rules, tick_cents),
    }
