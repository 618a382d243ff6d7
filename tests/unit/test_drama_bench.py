"""The benchmarks of the drama: kept runs are scored as played ones, and a trick's edge is told chapter by chapter."""

from pathlib import Path

import numpy as np
import pytest

from swarm.bench import chapters
from swarm.bench.abuse_kept import Kept, OutOfTime, Ran
from swarm.bench.abuse_runs import named, scored
from swarm.errors import OutputError
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
