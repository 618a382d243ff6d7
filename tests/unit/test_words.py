"""Words of a user's own in prompts: personas, memory and templates, also after a replay, and mistakes in one line."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import swarm
from swarm import config_file
from swarm.errors import ConfigError
from swarm.market.events import Trades
from swarm.planning import compose, composed
from swarm.simulation.acquaintance import MOST, Acquaintance
from swarm.simulation.traces import TABLES, traces
from tests.refusals import refused

MENU = {"name": "small", "temperament": "value", "form": "menu"}
LONG = {"name": "writer", "temperament": "maker"}
PERSONA = "You trust nobody, {own} and {memory} least."


def config(**traders: Any) -> dict[str, Any]:
    minds = {"small": 1, "writer": 1}
    return {"rounds": 6, "population": 10, "models": [MENU, LONG], "traders": {"minds": minds, **traders}}


def calls(folder: Path) -> list[dict[str, Any]]:
    return traces({"": folder / "journal.swarm"}, composed, frozenset(TABLES))["calls"].to_dicts()


def test_personas_and_memory_stand_in_prompts_and_a_replay_makes_them_again(tmp_path: Path) -> None:
    personas = {"squirrel": PERSONA, "1": "You are the first but one."}
    ran = swarm.run(config(personas=personas, memory={"others": 2}), out=tmp_path / "run")
    assert swarm.replay(tmp_path / "run").journal_sha256 == ran.journal_sha256
    made = calls(tmp_path / "run")
    assert all(call["missing"] is None for call in made)
    own = [call["prompt"] for call in made if call["trader"] == 1]
    assert all(prompt.count("PERSONA You are the first but one.") == 1 for prompt in own)
    # What it calls its own words is no place of a template.
    assert any(f"PERSONA {PERSONA}" in call["prompt"] for call in made)
    last = [call["prompt"] for call in made if call["round"] == 6]
    regards = [re.findall(r"^REGARD (.*)$", prompt, re.MULTILINE) for prompt in last]
    assert all(len(lines) <= 1 for lines in regards)
    told = [line for lines in regards for line in lines]
    assert told
    assert all(re.fullmatch(r"trader \d+ [+-]\d(, trader \d+ [+-]\d)?", line) for line in told)
    # Whose line it is stands before it, and nothing of what was said is kept.
    assert any(re.search(r"^- trader \d+: ", prompt, re.MULTILINE) for prompt in last)
    (explained,) = ran.why(1, 6)
    assert "PERSONA You are the first but one." in str(explained.record())


def test_a_regard_is_bounded_and_forgotten() -> None:
    plan = compose(swarm.load(config(memory={"forget_rounds": 1}))).run
    known = Acquaintance(plan)
    one = np.array([0])
    for _ in range(20):
        known.learn(Trades(one, one + 5, one + 1, one + 2, one + 3))
    assert known.line(2) == f"REGARD trader 3 +{MOST}"
    assert known.line(4) == ""


def test_templates_of_a_folder_are_kept_with_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "menu.system.txt").write_text("Answer first.\n{answer}\nThen know:\n{setting}\n")
    (folder / "own.txt").write_text("{persona}\n{own}\nThat is all.\n")
    changed = swarm.run(config(templates=str(folder), personas={"bear": "Slow."}), out=tmp_path / "run")
    plain = swarm.play(config())
    for path in folder.iterdir():
        path.unlink()
    assert swarm.replay(tmp_path / "run").journal_sha256 == changed.journal_sha256 != plain.journal_sha256
    assert changed.summary["config_sha256"] != plain.summary["config_sha256"]
    made = calls(tmp_path / "run")
    assert all(call["missing"] is None for call in made)
    assert all("That is all." in call["prompt"] for call in made)
    assert all(call["prompt"].startswith("Answer first.\n") is (call["mind"] == "small") for call in made)


def test_a_folder_of_templates_is_seen_from_its_config_and_never_read_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "own.txt").write_text("{own}\nThat is all.\n")
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config(templates="words")))
    assert swarm.load(path).traders.templates == {"own": "{own}\nThat is all."}
    # What lies in somebody's folder of a run is such a config, too, and names no file.
    with refused("traders.templates", "texts"):
        config_file.load(path)


@pytest.mark.parametrize(
    ("traders", "key", "word"),
    [
        ({"personas": {"owl": "Wise."}}, "traders.personas.owl", "squirrel"),
        ({"personas": {"10": "Late."}}, "traders.personas.10", "0 to 9"),
        ({"personas": {"bear": "two\nlines"}}, "traders.personas.bear", "one line"),
        ({"personas": {"bear": "x" * 281}}, "traders.personas.bear", "280"),
        ({"memory": {"others": 0}}, "traders.memory.others", "greater"),
        ({"templates": {"menus.system": "x"}}, "traders.templates.menus.system", "menu.system"),
        ({"templates": {"own": "{persona}"}}, "traders.templates.own", "{own}"),
        ({"templates": {"own": "{own}"}, "personas": {"bear": "Slow."}}, "traders.templates.own", "{persona}"),
        ({"templates": {"own": "{own} and {owm}"}}, "traders.templates.own", "{owm}"),
        ({"templates": {"menu.system": "{setting}"}}, "traders.templates.menu.system", "{answer}"),
        ({"templates": {"orders.system": "{setting} {answer} {own}"}}, "traders.templates.orders.system", "{own}"),
        ({"templates": "/no/such/folder"}, "traders.templates", "menu.system.txt"),
    ],
)
def test_mistakes_are_one_line(traders: dict[str, Any], key: str, word: str) -> None:
    with refused(key, word):
        compose(swarm.load(config(**traders)))


def test_words_that_leave_no_room_for_a_reply_are_refused_before_the_run() -> None:
    with pytest.raises(ConfigError, match="tokens_per_turn"):
        swarm.run({**config(personas={"bear": "wordy " * 46}), "budget": {"tokens_per_turn": 420}})
