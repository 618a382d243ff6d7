"""Submitters on a real Ray cluster send to one market actor: what it acknowledges is in its journal, once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from swarm.market.commands import SubmitOrders, from_record
from swarm.simulation.journal import JournalReader

pytestmark = pytest.mark.ray

LOAD = """
import sys
from pathlib import Path
from swarm.config import RuntimeConfig
from swarm.runtime.cluster import own_cluster
from swarm.runtime.load import journalled_orders_per_s

with own_cluster(RuntimeConfig(num_cpus=2)):
    journalled_orders_per_s(Path(sys.argv[1]), submitters=4, orders_each=500, batch=100, in_flight=2, rounds=2)
"""


def test_what_the_market_actor_acknowledges_is_in_its_journal_once(environment: dict[str, str], tmp_path: Path) -> None:
    journal = tmp_path / "journal.swarm"
    command = [sys.executable, "-c", LOAD, str(journal)]
    # The load itself fails unless every order is acknowledged.
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=350, check=False)
    assert done.returncode == 0, done.stderr
    taken = [c for c in map(from_record, commands(journal)) if isinstance(c, SubmitOrders)]
    for round_ in (1, 2, 3):
        traders = np.concatenate([c.orders.trader for c in taken if c.round == round_])
        assert sorted(traders.tolist()) == list(range(2_000))


def commands(journal: Path) -> list[list[object]]:
    return [record for record in JournalReader(journal) if record[0] in ("SubmitOrders", "CloseRound", "Transfer")]
