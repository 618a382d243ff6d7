"""Menus that a judge is taught by, and what the value rule makes of them; nothing here needs torch."""

from pathlib import Path

import pytest

from swarm.agents.forms.menus import Action, Leg
from swarm.agents.policies.menu import WORST_GAIN, choose, read_menu
from swarm.errors import ConfigError
from swarm.training.launch import train_judge
from swarm.training.offers import UNBEARABLE, best_of, offers_of, value_of
from swarm.training.recipe import JudgeRecipe


def test_menus_are_drawn_by_number_and_counted_exactly() -> None:
    rounds, following = offers_of(20_001, 10)
    assert sum(map(len, rounds)) == 10
    assert following > 20_001
    assert offers_of(20_001, 10)[0] == rounds


def test_traders_of_a_round_share_its_prompt_and_each_has_a_best_action() -> None:
    rounds, _ = offers_of(20_001, 12)
    for of_round in rounds:
        assert len({one.messages[0] for one in of_round}) == 1
        for one in of_round:
            assert len(one.lines) == len(one.expected)
            assert one.lines[0] == "pass?"
            assert one.expected[one.best] == max(one.expected)


def test_the_best_action_is_the_rule_s_and_what_it_cannot_bear_is_the_worst() -> None:
    leg = (Leg(True, 0, 1, 1),)
    actions = [Action(()), Action(leg, gain=5, expected=4), Action(leg, gain=WORST_GAIN - 1, expected=50)]
    assert value_of(actions[2]) == UNBEARABLE
    assert best_of(actions) == 1
    menu = "MENU letter GAIN EXPECT TREND EDGE NEEDS BUYS SELLS orders\nA 0 0 0 0 0 0 0 pass\n"
    text = menu + f"B 5 4 0 0 0 1 0 buy 1 acorns 1\nC {WORST_GAIN - 1} 50 0 0 0 1 0 buy 1 acorns 1"
    assert choose("value", read_menu(text))[0] == "B"


@pytest.mark.parametrize(("base", "named"), [("nowhere.gguf", "nowhere"), ("pydantic", "gguf")])
def test_a_base_that_is_none_is_refused_before_anything_is_made(tmp_path: Path, base: str, named: str) -> None:
    with pytest.raises(ConfigError, match=f"--base.*{named}"):
        train_judge(base, tmp_path / "out", JudgeRecipe(), print)
    assert not (tmp_path / "out").exists()
