"""Whatever a journal says that a party did ends a replay well: it is refused, or found, or one line says why not."""

from pathlib import Path
from typing import Any

import msgpack
import pytest

from swarm.config_file import resolve
from swarm.errors import SwarmError
from swarm.planning import composed
from swarm.runtime.play import play
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import JournalReader
from swarm.simulation.replay import replay
from tests.fuzz.test_hostile_journals import WRONG, changed, field_paths, one_line, rechained

CONFIG: dict[str, Any] = {
    "seed": 6,
    "rounds": 2,
    "population": 8,
    "traders": {"minds": {"zip": 1}},
    "parties": {"good-uncle": {"party": "benefactor", "gift_cents": 300}},
}


@pytest.mark.parametrize("regions", [{}, {"regions": {"names": ["east", "west"], "travellers": 2}}])
def test_whatever_a_party_is_said_to_have_done_ends_well(
    regions: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWARM_PLUGINS", "tests.examples.benefactor")
    names = play(resolve(CONFIG | regions), journals_in=tmp_path).plan.names
    journals = {name: RunFolder(tmp_path).market(name).journal for name in names}
    first = next(iter(journals.values()))
    records = list(JournalReader(first))
    # The road and the benefactor of the first region, or that one alone.
    for number in [i for i, record in enumerate(records) if record[:2] == ["Acted", 1]]:
        for turn, where in enumerate(field_paths(records[number])):
            for i, wrong in enumerate(WRONG):
                if (turn + i) % 7:
                    continue
                others = changed(records, number, where, wrong)
                rechained(first, others)
                try:
                    result = replay(journals, composed)
                except SwarmError as error:
                    one_line(first, error)
                else:
                    same = msgpack.packb(others) == msgpack.packb(records)
                    assert not same or result.holds
