"""The benchmarks of the drama: kept runs are scored as played ones, and a trick's edge is told chapter by chapter."""

from pathlib import Path

import numpy as np
import pytest

from swarm.bench import chapters, patrons
from swarm.bench.abuse_kept import Kept, OutOfTime, Ran
from swarm.bench.abuse_runs import named, scored
from swarm.config_file import resolve
from swarm.errors import ConfigError, OutputError
from swarm.runtime.play import play
from swarm.runtime.run import SILENT


def test_a_run_that_is_kept_is_not_played_again_and_scores_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarm.bench.abuse_runs.ROUNDS", 10)
    name, play = named(1, "layering")
    plays = []

    def counted() -> Ran:
        plays.append(name)
        return play()

    kept = Kept(tmp_path)
    first, again = scored(kept.run(name, counted)), scored(kept.run(name, counted))
    assert plays == [name]
    assert first.looks == again.looks == (5, 10)
    assert np.array_equal(first.scores, again.scores)
    assert first.planted.sum() == 1 and np.array_equal(first.planted, again.planted)
    # What there is no time for is not begun; what is kept is there all the same.
    late = Kept(tmp_path, seconds=-1.0)
    assert len(late.all([(name, play), ("another", play)])) == 1
    with pytest.raises(OutOfTime):
        late.run("another", play)
    (tmp_path / "torn.npz").write_bytes(b"PK")
    with pytest.raises(OutputError, match=r"torn\.npz"):
        kept.run("torn", play)


def test_the_edge_of_a_trick_is_told_by_chapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chapters, "TRADERS", 12)
    monkeypatch.setattr(chapters, "CHAPTERS", 2)
    found = {one.name: one for one in chapters.measure(2, SILENT)}
    assert set(found) == {"chapters_with_sentiment", "chapters_without_sentiment", "chapters_taken_by_sentiment"}
    # Nobody remembers anything before the first tip, so that both arms begin alike.
    assert found["chapters_with_sentiment"].runs[0] == found["chapters_without_sentiment"].runs[0]


def test_patrons_are_compared_on_the_same_seeds_and_what_was_played_is_not_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patrons, "ROUNDS", 6)
    config = tmp_path / "models.yaml"
    config.write_text("models:\n- {name: still, temperament: panic}\n- {name: lively, temperament: value}\n")
    found = {one.name: one for one in patrons.measure(2, SILENT, config, ["still"], tmp_path / "kept")}
    assert set(found) == {"patron_by_lot", "patron_nothing", "patron_gambit", "patron_still"}
    # Who does nothing neither gains nor loses, and is asked after each round but the first and the last.
    assert found["patron_nothing"].runs == found["patron_still"].runs == (0.0, 0.0)
    assert found["patron_still"].note.startswith("chose do nothing 8;")
    assert "over nothing +0 pebbles (+0 to +0), which is none; over by_lot" in found["patron_still"].bound
    assert found["patron_gambit"].runs != (0.0, 0.0)

    def never(*_: object) -> None:
        raise AssertionError("this run is kept")

    monkeypatch.setattr(patrons, "play", never)
    assert {one.name: one for one in patrons.measure(2, SILENT, config, ["still"], tmp_path / "kept")} == found


def test_what_a_patron_lends_is_told_until_it_is_paid_back() -> None:
    books = patrons.Books()
    wanted = patrons.played_by("x", {}, 1)
    lent = {"round": 2, "deed": "loan", "trader": 1, "pebbles": 100, "rounds": 20}
    wanted["parties"]["patron"] = {"party": "patron", "purse_pebbles": 500, "script": [lent]}
    play(resolve({**wanted, "rounds": 5}), books)
    assert (books.purse, books.staked, books.owed) == (400_00, 0, 110_00)


@pytest.mark.parametrize(
    ("models", "only", "word"),
    [
        ("models: []\ntraders: {minds: {zip: 1}}\n", (), "without any"),
        ("models:\n- {name: still, temperament: panic}\n", ("stil",), "still"),
        ("models:\n- {name: gambit, temperament: panic}\n", (), "gambit"),
        ("", ("still",), "--config"),
    ],
)
def test_a_patron_that_cannot_play_is_named(tmp_path: Path, models: str, only: tuple[str, ...], word: str) -> None:
    config = tmp_path / "models.yaml"
    config.write_text(models)
    with pytest.raises(ConfigError, match=word):
        patrons.measure(2, SILENT, config if models else None, only)
