"""Why a trader did what it did: prompts are made again and held against digests, alternatives are cleared again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from swarm.agents.observation import Observation
from swarm.agents.recall import ANOTHER
from swarm.cli import app
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.planning import composed
from swarm.report.why import lines
from swarm.runtime.play import play
from swarm.simulation.folder import RunFolder
from swarm.simulation.plan import RunPlan
from swarm.simulation.traders import Gathered, TradersPort
from swarm.simulation.why import Explained, why
from tests.playing import Outcomes

VALUE = {"name": "value", "temperament": "value"}
MENU = {"name": "menu", "temperament": "value", "form": "menu"}


def config(minds: dict[str, int], models: list[dict[str, Any]], **more: Any) -> Any:
    traders = {"minds": minds, **more.pop("traders", {})}
    return resolve({"seed": 5, "rounds": 4, "population": 10, "models": models, "traders": traders, **more})


def explained(folder: Path, trader: int = 3, round_: int = 3) -> Explained:
    (found,) = why(RunFolder(folder).journals, composed, trader, round_)
    return found


def test_a_models_prompt_its_reply_orders_fills_and_alternatives(tmp_path: Path) -> None:
    outcomes = Outcomes()
    play(config({"menu": 1}, [MENU]), outcomes, journals_in=tmp_path)
    outcome = outcomes.rounds[2]
    for trader in range(10):
        one = explained(tmp_path, trader)
        (call,) = one.calls
        assert not call.missing
        assert call.prompt[1].startswith("ROUND 3 of 4")
        assert call.answer == outcome.gathered.turns.text[trader]
        trades = outcome.cleared.trades
        assert len(one.fills) == ((trades.buyer == trader) | (trades.seller == trader)).sum()
        # What it chose is on its menu, and comes to the same when it is cleared again.
        (taken,) = [other for other in one.alternatives if other.taken]
        assert taken.letter == call.answer[0]
        assert taken.gain_ticks == one.brought_ticks
    assert any(one.brought_ticks for one in [explained(tmp_path, trader) for trader in range(10)])


def test_who_answers_with_orders_is_compared_with_the_menu_that_it_would_have_had(tmp_path: Path) -> None:
    play(config({"value": 1}, [VALUE]), journals_in=tmp_path)
    one = explained(tmp_path)
    assert "Answer with one JSON object" in one.calls[0].prompt[0]
    assert json.loads(one.calls[0].answer)["orders"]
    assert one.alternatives[0].orders == ""
    assert len(one.alternatives) > 3


def test_what_was_refused_and_what_was_no_decision_is_told(tmp_path: Path) -> None:
    play(config({"value": 1}, [VALUE | {"fault_rate": 0.9}]), journals_in=tmp_path)
    found = [explained(tmp_path, trader) for trader in range(10)]
    lost = next(one for one in found if one.error)
    assert lost.orders == ()
    assert f"no decision ({lost.error})" in "\n".join(lines(lost))


def test_a_rule_asks_no_model(tmp_path: Path) -> None:
    play(config({"zip": 1}, []), journals_in=tmp_path)
    one = explained(tmp_path)
    assert not one.asked
    assert "rule" in one.why_not
    assert one.alternatives
    assert "PROMPT" not in "\n".join(lines(one))


PANIC = {"name": "panic", "temperament": "panic", "form": "menu"}
COUNCIL = {"name": "wise", "members": ["menu", {"model": "panic", "role": "risk"}, "panic"]}
TINY = {"name": "tiny", "engine": "embedded", "temperament": "momentum"}
CASCADE = {"name": "wise", "small": "tiny", "large": "menu", "price_ticks": 0.001}
DESK = {"name": "wise", "model": "value", "role": "You are the analyst."}
TIERS = [{"model": m, "cents_per_1000_tokens": p} for m, p in (("panic", 0.5), ("menu", 3.6))]


@pytest.mark.parametrize(
    ("traders", "minds", "askers", "told"),
    [
        (
            {"councils": [COUNCIL]},
            "wise",
            {"member 1 of 3", "member 2 of 3, risk", "member 3 of 3"},
            "the votes come to",
        ),
        (
            {"cascades": [CASCADE]},
            "wise",
            {"the small one", "the large one"},
            "the large model was",
        ),
        (
            {"staffing": {"name": "auction", "rounds": 2, "tiers": TIERS}},
            "auction",
            {"a bid", "which has the work"},
            "won",
        ),
        ({"desks": [DESK]}, "wise", {"step 1", "step 2"}, "step 1 called"),
    ],
    ids=["council", "cascade", "auction", "desk"],
)
def test_each_question_of_a_mind_that_asks_several_times(
    tmp_path: Path, traders: dict[str, Any], minds: str, askers: set[str], told: str
) -> None:
    play(config({minds: 1}, [MENU, PANIC, VALUE, TINY], traders=traders), journals_in=tmp_path)
    found = [explained(tmp_path, trader, round_) for trader, round_ in ((3, 3), (4, 4))]
    calls = [call for one in found for call in one.calls]
    assert askers <= {call.asker for call in calls}
    assert not [call.missing for call in calls if call.missing]
    assert all(call.answer and call.prompt for call in calls)
    assert any(told in one.told for one in found)
    assert f"PROMPT 1 of {len(found[0].calls)}" in "\n".join(lines(found[0])) or len(found[0].calls) == 1


class Forged:
    """Traders whose record has other digests than their prompts."""

    def __init__(self, port: TradersPort) -> None:
        self.port = port

    def decide(self, seen: Observation) -> Gathered:
        gathered = self.port.decide(seen)
        turns = gathered.turns
        return replace(gathered, turns=replace(turns, calls=replace(turns.calls, prompt_digest=-turns.calls.turn)))


def test_a_prompt_of_another_digest_is_not_shown(tmp_path: Path) -> None:
    def forged(_: RunPlan, port: TradersPort) -> TradersPort:
        return Forged(port)

    play(config({"menu": 1}, [MENU]), journals_in=tmp_path, traders=forged)
    one = explained(tmp_path)
    assert one.calls[0].prompt == ()
    assert one.calls[0].missing == ANOTHER
    assert one.calls[0].answer
    told = "\n".join(lines(one))
    assert ANOTHER in told
    assert "MENU letter" not in told


def test_a_traveller_is_explained_in_both_of_its_markets(tmp_path: Path) -> None:
    regions = {"names": ["east", "west"], "travellers": 2, "abroad": "own"}
    outcomes = Outcomes()
    play(config({"menu": 1}, [MENU], regions=regions), outcomes, journals_in=tmp_path)
    journals = RunFolder(tmp_path).journals
    found = {trader: why(journals, composed, trader, 3) for trader in range(10)}
    assert sorted(len(own) for own in found.values()) == [1] * 8 + [2] * 2
    for trader, own in found.items():
        assert {one.trader for one in own} == {trader}
        assert all(not call.missing for one in own for call in one.calls)
    trades = outcomes.rounds[2].cleared.trades
    fills = [(trader, fill.other) for trader, own in found.items() for one in own for fill in one.fills]
    assert len(fills) == 2 * len(trades.good)
    assert {*zip(trades.buyer.tolist(), trades.seller.tolist(), strict=True)} <= {*fills}


def test_what_there_is_not_is_named(tmp_path: Path) -> None:
    play(config({"zip": 1}, []), journals_in=tmp_path)
    with pytest.raises(ConfigError, match="0 to 9"):
        explained(tmp_path, 10)
    with pytest.raises(ConfigError, match="1 to 4"):
        explained(tmp_path, 3, 5)


def test_the_command_prints_text_and_json(tmp_path: Path) -> None:
    play(config({"menu": 1}, [MENU]), journals_in=tmp_path)
    asked = ["why", str(tmp_path), "--trader", "3", "--round", "3"]
    told = CliRunner().invoke(app, asked)
    assert "trader 3, a " in told.output
    assert "ALTERNATIVES" in told.output
    (record,) = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output)
    assert record == json.loads(json.dumps(explained(tmp_path).record()))


def test_broken_lines_lose_nothing(tmp_path: Path) -> None:
    play(config({"value": 1}, [VALUE]), journals_in=tmp_path)
    one = explained(tmp_path)
    narrow = lines(one, 60)
    quoted = [line for line in narrow if line.startswith(("  | ", "  : "))]
    assert max(map(len, quoted)) <= 60
    whole = [line for line in lines(one) if line.startswith("  | ")]
    joined = "".join(line.replace("  | ", "\n", 1) if line.startswith("  | ") else line[4:] for line in quoted)
    assert joined.replace(" ", "") == "".join(f"\n{line[4:]}" for line in whole).replace(" ", "")
