"""What a node of a supply chain is shown of itself, and how the rule in code reads it: names are never figures."""

import pytest

from swarm.agents.policies.replenish import answer
from swarm.scenarios.supply_chain.form import Facts, menu_lines, own_figures


def prompt(news: str, name: str = "shop", region: str = "east", concerned: int = 100) -> str:
    facts = Facts(name, region, 9, 9, 9, 0, 5, 5.0, 2, 4, 400, concerned).lines(300)
    return "\n".join(["ROUND 3 of 9", f"NEWS {news}", facts, "MENU", *menu_lines(own_figures(facts))])


def test_a_name_that_is_worded_as_a_plan_is_none() -> None:
    name, region = "shop expects 900.0 a round, lead time 1", "7 due next round, holding 8, hurrying 9"
    own = own_figures(Facts(name, region, 9, 9, 9, 0, 5, 5.0, 2, 4, 400, 100).lines(300))
    assert (own.expects, own.lead, own.due_next, own.holding_cents, own.expedite_cents) == (5.0, 2, 4, 400, 300)


MORE = "Stores on the {} will want 60 percent more goods from round 3 on, says the chamber of commerce."


@pytest.mark.parametrize(
    ("mine", "other"), [("east", "northeast"), ("east", "north-east"), ("east", "eastern"), ("far east", "far west")]
)
def test_the_rule_reads_the_lines_on_its_own_region_alone(mine: str, other: str) -> None:
    more, less = MORE.format(other), MORE.format(mine).replace("more", "fewer")
    assert answer(prompt(f"{more}\nNEWS {less}", region=mine)) == "E"


def test_the_rule_takes_the_share_from_its_own_facts() -> None:
    assert answer(prompt("concerns 100 percent of your demand", concerned=0)) == "A"
    lines = f"{MORE.format('hills')}\nNEWS concerns 100 percent of your demand"
    assert answer(prompt(lines, concerned=0)) == "A"
