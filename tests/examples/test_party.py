"""The party of docs/architecture.md runs for ten rounds; its journal replays, and resumes, without the party."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.planning import composed
from swarm.plugins import VARIABLE
from swarm.runtime.play import Played, play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation import history
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import JournalReader
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties import PartyPlugin
from swarm.simulation.party import Act, Announce, Move, Quote, Reprice, RoundView, Say
from swarm.simulation.replay import replay
from tests.examples import benefactor
from tests.playing import Outcomes

CONFIG: dict[str, Any] = {
    "seed": 6,
    "rounds": 10,
    "population": 12,
    "models": [{"name": "m", "temperament": "value"}],
    "traders": {"minds": {"m": 2, "zip": 1}},
    "parties": {"good-uncle": {"party": "benefactor", "gift_cents": 300}},
}
REGIONS = {"regions": {"names": ["east", "west"], "travellers": 2}, "population": 16}


@pytest.fixture
def _at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "tests.examples.benefactor")


def played(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Played, list[RoundOutcome]]:
    """Plays ten rounds with the plug-in at hand, and replays them where nobody has it."""
    monkeypatch.setenv(VARIABLE, "tests.examples.benefactor")
    outcomes = Outcomes()
    result = play(resolve(CONFIG | changes), outcomes, journals_in=folder)
    monkeypatch.delenv(VARIABLE)
    names = result.plan.names
    again = replay({name: RunFolder(folder).market(name).journal for name in names}, composed)
    assert again.holds, again.mismatch
    assert (again.rounds, again.replayed_sha256) == (10, result.journal_sha256)
    return result, outcomes.rounds


def test_a_party_moves_money_and_its_journal_replays_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, rounds = played(tmp_path, monkeypatch)
    without = play(resolve({key: value for key, value in CONFIG.items() if key != "parties"}))
    gifts = [act for outcome in rounds for acted in outcome.acted for act in acted.acts if isinstance(act, Move)]
    assert sum(int(gift.amount.sum()) for gift in gifts) == 10 * 2 * 300
    assert result.journal_sha256 != without.journal_sha256
    for flow in result.record.summary["conservation"].values():
        assert flow["unexplained"] == 0
    assert result.record.summary["parties"] == {
        "good-uncle": {"acts": {"Announce": 10, "Move": 10, "Say": 10}, "refused": {}, "last_refusal": ""}
    }


def test_what_a_party_says_is_heard_in_the_next_round_by_those_it_spoke_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Listening:
        def __init__(self, port: Any) -> None:
            self.port = port

        def decide(self, observation: Any) -> Any:
            seen.append(observation)
            return self.port.decide(observation)

        def remember(self, memory: Any) -> None:
            self.port.remember(memory)

    monkeypatch.setenv(VARIABLE, "tests.examples.benefactor")
    outcomes = Outcomes()
    play(resolve(CONFIG), outcomes, traders=lambda _, port: Listening(port))
    line = "good-uncle: this is for you, spend it well"
    for before, now in zip(outcomes.rounds, seen[1:], strict=False):
        (said,) = [act for acted in before.acted for act in acted.acts if isinstance(act, Say)]
        heard = [i for i, lines in enumerate(now.private.heard) if line in lines]
        assert heard == sorted(np.asarray(said.to).tolist())
        assert any("good-uncle has given" in news for news in now.public.news)


def test_a_party_acts_in_every_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, rounds = played(tmp_path, monkeypatch, **REGIONS)
    for outcome in rounds:
        for own in outcome.of:
            assert [acted.party for acted in own.acted] == ["road", "good-uncle"]


def test_a_run_is_gone_on_with_from_any_record_to_the_same_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "tests.examples.benefactor")
    calls = iter(range(100))
    session = Session(RunsOn(local=True), RunFolder(tmp_path / "run"), stop=lambda: next(calls) >= 4, report=False)
    session.execute(resolve(CONFIG))
    journal = tmp_path / "run" / "journal.swarm"
    assert history.read(journal).rounds == 4
    finished = Session(RunsOn(local=True), RunFolder(tmp_path / "run"), report=False).resume()
    assert finished.record.summary["journal_sha256"] == play(resolve(CONFIG)).journal_sha256
    # As after kills that came before and after the party had acted, while the round had not ended.
    content, reader = journal.read_bytes(), JournalReader(journal)
    frames = [(offset, msgpack.unpackb(payload)) for offset, payload in reader.payloads()]
    at = next(i for i, (_, record) in enumerate(frames) if record[:2] == ["Acted", 6])
    for cut, _ in frames[at - 1 : at + 3]:
        journal.write_bytes(content[:cut])
        journal.with_name("journal.head").unlink()
        Session(RunsOn(local=True), RunFolder(tmp_path / "run"), report=False).resume()
        assert journal.read_bytes() == content


class Wild:
    """Does what no ledger would take, and one thing that it does."""

    name = "wild"

    def act(self, view: RoundView) -> Sequence[Act]:
        one = np.array([1])
        return [
            Move("theft", np.array([0]), np.array([1]), np.array([0]), np.array([1 << 62])),
            Move("theft", np.array([0]), np.array([1]), np.array([0]), np.array([10_000_000])),
            Move("gift", "nobody", one, one, one),
            Move("gift", "issue", np.array([999]), one, one),
            Move("gift", "issue", one, np.array([99]), one),
            Move("gift", "issue", one, one, np.array([-1])),
            Reprice("whim", 99, 500),
            Reprice("whim", 0, -5),
            Say("x" * 99, one, "hello"),
            Say("wild", np.array([-1]), "hello"),
            Announce("two\nlines"),
            Announce(""),
            Quote("elsewhere", one),
            Reprice("whim", 0, 2_000),
        ]


def test_what_the_ledger_refuses_is_refused_by_name_and_journalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = PartyPlugin("benefactor", "", benefactor.BenefactorConfig, lambda *_: Wild())
    monkeypatch.setattr(benefactor, "PARTY", wild)
    result, rounds = played(tmp_path, monkeypatch)
    for outcome in rounds:
        (acted,) = outcome.acted
        assert [index for index, _ in acted.refused] == list(range(13))
        assert all(why for _, why in acted.refused)
    assert rounds[0].acted[0].refused[1][1].startswith("trader 0 has ")
    summary = result.record.summary["parties"]["wild"]
    assert summary["refused"] == {"Announce": 20, "Move": 60, "Quote": 10, "Reprice": 20, "Say": 20}
    assert summary["last_refusal"] == "Quote: expected 5 prices, got 1"


@pytest.mark.parametrize(
    ("parties", "key"),
    [
        ({"a": {"party": "nobody"}}, r"parties\.a\.party"),
        ({"a": {}}, r"parties\.a\.party"),
        ({"a": {"party": "benefactor", "gift_cents": "x"}}, r"parties\.a\.gift_cents: expected .*, got 'x'"),
        ({"a": {"party": "benefactor", "other": 1}}, r"parties\.a\.other: there is no such key.*gift_cents"),
        ({"road": {"party": "benefactor"}}, r"parties\.road"),
        ({"A b": {"party": "benefactor"}}, r"parties\.A b"),
    ],
)
@pytest.mark.usefixtures("_at_hand")
def test_a_wrong_party_is_refused_with_its_key(parties: dict[str, Any], key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=key):
        Session(RunsOn(local=True), RunFolder(tmp_path / "run"), report=False).execute(
            resolve(CONFIG | {"parties": parties})
        )
    assert not (tmp_path / "run").exists()
