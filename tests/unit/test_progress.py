"""A terminal says what a scenario has to tell: prices and trades of a market, figures of its own of one without any."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from swarm.config_file import resolve
from swarm.planning import compose
from swarm.preflight import check_rounds
from swarm.progress import Progress
from swarm.report import sections
from swarm.report.outcome import lines
from swarm.runtime.play import play

WOOD = {"population": 10, "models": [{"name": "m", "temperament": "value"}]}
RULE = {"define": {"own": {"mind": "own", "rule": "plan"}}, "minds": {"own": 1}}
SUPPLY = {"population": 4, "scenario": {"name": "supply_chain", "network": "beer_game"}, "traders": RULE}
GRIM = {"define": {"own": {"mind": "own", "rule": "grim"}}, "minds": {"own": 1}}
DUOPOLY = {"population": 4, "scenario": {"name": "duopoly"}, "traders": GRIM}


@pytest.mark.parametrize(
    ("config", "words", "absent"),
    [
        (WOOD, ("round 4/4 autumn  trades", "honey"), ("cost",)),
        (SUPPLY, ("round 4/4  cost", "fill"), ("trades", "units", "ordered")),
        (DUOPOLY, ("round 4/4  mean price", "collusion"), ("trades", "round 4  ")),
    ],
)
def test_a_line_of_progress_has_what_the_scenario_tells(
    config: dict[str, Any], words: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    shown = StringIO()
    progress = Progress(Console(file=shown, width=200))
    played = play(resolve({**config, "rounds": 4}), progress)
    line = shown.getvalue().splitlines()[-1]
    for word in words:
        assert word in line
    for word in absent:
        assert word not in line
    # A report has no empty charts of a market that there is not; here no seller moves its price either.
    titles = {section.title for section in sections.shown(played.record)}
    of_market = {"Prices", "Volume", "Market quality"}
    assert of_market & titles == (of_market if "trades" in line else set())
    # The first line at the end has the same figures.
    assert ("trades" in lines(played.summary)[0]) is ("figures" not in played.summary) is ("trades" in line)


def test_what_begins_after_the_last_round_is_told() -> None:
    shock = {"kind": "mania", "round": 3, "good": "honey"}
    shocks = {"scenario": {"name": "wood", "shocks": [shock, {**shock, "round": 2}]}}
    assert check_rounds(resolve({**WOOD, **shocks, "rounds": 3})) == []
    (line,) = check_rounds(resolve({**WOOD, **shocks, "rounds": 2}))
    assert line.startswith("scenario.shocks: 1 of 2 begin after round 2")
    shift = {"region": "coast", "first_round": 9, "permille": 500, "announced": -4}
    supply = {"name": "supply_chain", "shifts": [shift], "news": [{"round": 8, "text": "hm"}]}
    chain = {"population": 25, "scenario": supply, "traders": RULE}
    assert [line.split(":")[0] for line in check_rounds(resolve({**chain, "rounds": 6}))] == ["scenario.news"]
    # Each of several regions has the same shocks, which are told once.
    several = {**WOOD, **shocks, "rounds": 2, "regions": {"count": 2, "travellers": 0}}
    assert compose(resolve(several)).regions
    assert len(check_rounds(resolve(several))) == 1
