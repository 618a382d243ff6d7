"""What the author of a scenario gets wrong is said in words: the cause, the round, the good, the trader, the method."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest

import swarm
from swarm.market.ledger import CASH, ISSUE
from swarm.plugins import VARIABLE, Plugins
from swarm.scenarios.protocol import Movement, ReferenceMove, ScenarioPlugin
from swarm.scenarios.wood import SCENARIO as WOOD
from swarm.scenarios.wood.config import WoodConfig

TRADER = np.array([3])
HONEY = np.array([4])
CONFIG = Path(__file__).parents[2] / "configs" / "wood-scripted.yaml"


class MistakenConfig(WoodConfig):
    """The section of a scenario that is the Wood with a mistake."""

    name: Literal["mistaken"] = "mistaken"  # type: ignore[assignment]


def in_round(monkeypatch: pytest.MonkeyPatch, round_: int, wanted: object) -> Callable[[], swarm.Result]:
    """A run of the Wood to which something more happens after a round, at the opening if it is 0."""

    def build(*arguments: Any) -> Any:
        scenario = WOOD.build(*arguments)
        opening, after = scenario.opening, scenario.after_clearing
        extra: list[Any] = [wanted]
        scenario.opening = lambda: [*opening(), *(extra if round_ == 0 else [])]  # type: ignore[method-assign]
        scenario.after_clearing = lambda now, *rest: [*after(now, *rest), *(extra if now == round_ else [])]  # type: ignore[method-assign]
        return scenario

    return of_plugin(monkeypatch, ScenarioPlugin("mistaken", "The Wood with a mistake.", MistakenConfig, build))


def of_plugin(monkeypatch: pytest.MonkeyPatch, plugin: ScenarioPlugin) -> Callable[[], swarm.Result]:
    module = ModuleType("mistaken_scenario")
    module.SCENARIO = plugin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv(VARIABLE, module.__name__)
    changes = {"scenario": {"name": "mistaken"}, "rounds": 4, "population": 8}
    return lambda: swarm.play(CONFIG, changes=changes)


@pytest.mark.parametrize(
    ("round_", "wanted", "words"),
    [
        (2, Movement("feast", TRADER, ISSUE, HONEY, np.array([999])), "round 2: feast: trader 3 has .* lots of honey"),
        (2, Movement("feast", TRADER, ISSUE, np.array([CASH]), np.array([10**9])), "round 2: feast: trader 3 .* cents"),
        (0, Movement("gift", "larder", TRADER, HONEY, np.array([1])), "opening: gift: source: .*'larder'.*issue"),
        (2, Movement("gift", TRADER, "isue", HONEY, np.array([1])), "round 2: gift: target: .*did you mean issue"),
        (2, Movement("gift", ISSUE, TRADER, HONEY, np.array([1.5])), "round 2: gift: amount: .*whole.*float64"),
        (2, Movement("gift", ISSUE, TRADER, HONEY, [1]), "round 2: gift: amount: .*whole.*list"),  # type: ignore[arg-type]
        (2, Movement("gift", ISSUE, TRADER, HONEY, np.array([1, 2])), "round 2: gift: .*one length"),
        (2, Movement("gift", ISSUE, np.array([99]), HONEY, np.array([1])), "round 2: gift: there is no account 99"),
        (2, Movement("gift", ISSUE, TRADER, np.array([17]), np.array([1])), "round 2: gift: there is no asset 17"),
        (2, Movement("gift", ISSUE, TRADER, HONEY, np.array([-1])), "round 2: gift: .* below zero"),
        (2, ReferenceMove("scare", 1, 0.5), "round 2: scare: permille: .*0.5"),  # type: ignore[arg-type]
        (2, "a storm", "round 2: expected a Movement .*str"),
    ],
)
def test_what_cannot_be_moved_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, round_: int, wanted: object, words: str
) -> None:
    with pytest.raises(swarm.SwarmError, match=f"^scenario mistaken: (the )?{words}") as refused:
        in_round(monkeypatch, round_, wanted)()
    assert "\n" not in str(refused.value)


def test_a_method_that_is_missing_is_named_before_the_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half:
        goods = ("honey",)

        def opening(self) -> list[Movement]:
            raise AssertionError("it is not begun")

    plugin = ScenarioPlugin("mistaken", "Half a scenario.", MistakenConfig, lambda *_: Half())  # type: ignore[arg-type]
    with pytest.raises(swarm.SwarmError, match=r"scenario\.name.*after_clearing") as refused:
        of_plugin(monkeypatch, plugin)()
    assert "opening," not in str(refused.value)


def test_a_file_without_its_export_is_skipped_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    package = tmp_path / "some_scenarios"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "whole.py").write_text("SCENARIO = 1\n")
    (package / "notes.py").write_text("SCENARIOS = 1\nraise RuntimeError('it is imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert Plugins("some_scenarios", "SCENARIO", "scenario").names() == ["whole"]
    (record,) = caplog.records
    assert "notes.py" in record.getMessage()
    assert "SCENARIO" in record.getMessage()


def test_a_module_without_the_export_is_named_where_its_plug_in_is_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "tests.examples.panel")
    with pytest.raises(swarm.SwarmError, match=r"tests\.examples\.panel: no SCENARIO") as refused:
        Plugins("swarm.scenarios", "SCENARIO", "scenario", skip=("protocol",)).find("panel", "scenario.name")
    assert "wood" in str(refused.value)
