"""Changes of a config's keys: items added to lists, weights set beside those that are there, keys that are none."""

from pathlib import Path
from typing import Any

import pytest

import swarm
from swarm import config_file
from swarm.errors import ConfigError, asked_by_options

CONFIG = Path(__file__).parents[2] / "configs" / "wood-scripted.yaml"
SHOCK = {"kind": "mania", "round": 3, "rounds": 2, "good": "honey"}
MODELS = ["scripted-value", "scripted-momentum", "scripted-maker", "scripted-hoarder", "scripted-panic"]


def shocks(config: Any) -> list[dict[str, Any]]:
    return [*config.record()["scenario"]["shocks"]]


def test_an_item_is_added_behind_those_that_are_written() -> None:
    before = shocks(swarm.load(CONFIG))
    after = shocks(swarm.load(CONFIG, changes={"scenario.shocks+": SHOCK}))
    assert len(before) > 0
    assert after[:-1] == before
    assert {key: after[-1][key] for key in SHOCK} == SHOCK
    given = "scenario.shocks+={kind: mania, round: 3, rounds: 2, good: honey}"
    assert shocks(config_file.load(CONFIG, (given,))) == after
    assert len(shocks(config_file.load(CONFIG, (given, given)))) == len(after) + 1


def test_an_item_is_added_behind_those_that_are_there_by_default() -> None:
    plain = {"models": [{"name": "m", "temperament": "value"}]}
    default = shocks(swarm.load(plain))
    assert shocks(swarm.load(plain, changes={"scenario.shocks+": SHOCK}))[:-1] == default


@pytest.mark.parametrize("key", ["rounds+", "nowhere+", "scenario+", "scenario.shocks.0.round+", "models.9.name+", "+"])
def test_only_a_list_is_added_to(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        swarm.load(CONFIG, changes={key: 1})
    assert str(refused.value).startswith(f"changes[{key!r}]: ")
    with asked_by_options(), pytest.raises(ConfigError) as refused:
        config_file.load(CONFIG, (f"{key}=1",))
    assert str(refused.value).startswith(f"--set {key}: ")


def test_a_weight_for_one_mind_leaves_the_others_theirs() -> None:
    assert not swarm.load(CONFIG).traders.minds
    assert swarm.load(CONFIG, changes={"traders.minds.zip": 5}).traders.minds == {**dict.fromkeys(MODELS, 1), "zip": 5}
    two = swarm.load(CONFIG, changes={"traders.minds.zip": 5, "traders.minds.scripted-panic": 0}).traders.minds
    assert two == {**dict.fromkeys(MODELS, 1), "zip": 5, "scripted-panic": 0}
    assert swarm.load(CONFIG, changes={"traders.minds": {"zip": 5}}).traders.minds == {"zip": 5}
    alone = swarm.load({"population": 4}, changes={"traders.minds.zip": 1})
    assert alone.traders.minds == {"zip": 1}


def test_a_step_of_the_population_is_counted_as_its_key_and_as_a_person_does() -> None:
    steps = [{"from_round": 1, "traders": 4}, {"from_round": 1, "traders": 5}]
    with pytest.raises(ConfigError, match=r"^population\.1\.from_round: .*stage 2") as refused:
        swarm.load(CONFIG, changes={"population": steps})
    assert refused.value.key == "population.1.from_round"


def test_a_config_of_ours_is_found_by_its_name_and_a_file_of_that_name_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wood-scripted").mkdir()
    assert swarm.load("wood-scripted") == swarm.load(CONFIG)
    (tmp_path / "wood").write_text("{name: own, models: [{name: m, temperament: value}]}")
    assert swarm.load("wood").name == "own"
    with pytest.raises(ConfigError, match=r"did you mean wood\?.*or one of .*wood-scripted"):
        swarm.load("wod")
    with pytest.raises(ConfigError, match="cannot be read"):
        swarm.load("wod.yaml")
