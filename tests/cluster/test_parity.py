"""The same seed gives the same journal in one process, on a cluster of the run's own and on one that is there."""

from pathlib import Path

import pytest
import ray

from swarm.config_file import load
from swarm.runtime.cluster import joined_cluster
from swarm.runtime.parts import RayParts
from swarm.runtime.play import play
from swarm.runtime.ports import RunsOn
from swarm.scenarios.fraud.desk import FraudDesk
from swarm.scenarios.fraud.features import AccountShard, Movements, SpreadStream, Stream
from swarm.scenarios.fraud.generate import made
from tests.cluster.conftest import CONFIG, Swarm, summary

pytestmark = pytest.mark.ray

COUNTED = ("fills", "volume_lots", "decision_errors", "tokens", "conservation", "wealth", "population", "staffing")
STAGES = "population=[{from_round: 1, traders: 12}, {from_round: 3, traders: 32}, {from_round: 5, traders: 20}]"


@pytest.fixture(scope="module")
def local(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in one process that all others are held against."""
    folder = tmp_path_factory.mktemp("local") / "run"
    done = swarm("run", CONFIG, "--local", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def same_history(one: Path, other: Path) -> None:
    """Both journals are equal to the byte, and so is what was counted."""
    assert summary(one)["journal_sha256"] == summary(other)["journal_sha256"]
    assert (one / "journal.swarm").read_bytes() == (other / "journal.swarm").read_bytes()
    for key in COUNTED:
        assert summary(one).get(key) == summary(other).get(key), key


def test_a_cluster_of_its_own_with_one_shard(swarm: Swarm, local: Path, tmp_path: Path) -> None:
    done = swarm("run", CONFIG, "--set", "runtime.traders_per_actor=32", "--out", tmp_path / "ray")
    assert done.returncode == 0, done.stderr
    layout = summary(tmp_path / "ray")["layout"]
    assert list(layout.pop("shards_by_node").values()) == [1]
    assert layout == {
        "shards": 1,
        "traders_per_shard": 32,
        "deployments": 2,
        "nodes_joined": 0,
        "nodes_left": 0,
        "shards_moved": 0,
    }
    same_history(local, tmp_path / "ray")


def test_a_cluster_that_is_there(swarm: Swarm, local: Path, tmp_path: Path, head: str) -> None:
    override = "runtime.traders_per_actor=4"
    done = swarm("run", CONFIG, "--address", head, "--set", override, "--out", tmp_path / "ray")
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / "ray")["layout"]["shards"] == 8
    same_history(local, tmp_path / "ray")


def test_garbled_replies_were_among_it_and_another_seed_has_another_history(local: Path) -> None:
    assert sum(summary(local)["decision_errors"].values()) > 0
    assert summary(local)["journal_sha256"] != play(load(CONFIG, ("seed=12",))).journal_sha256


@pytest.mark.parametrize(
    ("changes", "shards"),
    [
        (("population=10", "runtime.traders_per_actor=1"), 10),
        (("traders.standing.max_rounds=3", "budget.run_tokens=130000", "rounds=10", "runtime.traders_per_actor=5"), 7),
        ((STAGES, "runtime.traders_per_actor=8"), 4),
    ],
    ids=["a shard for each trader", "standing orders and a budget", "traders that come and go"],
)
def test_a_run_is_the_same_however_it_is_sharded(changes: tuple[str, ...], shards: int, cluster: RunsOn) -> None:
    config = load(CONFIG, changes)
    one, other = play(config).summary, play(config, runs_on=cluster).summary
    assert other["layout"]["shards"] == shards
    assert ("population" in one) == (STAGES in changes)
    for key in ("journal_sha256", "budget", *COUNTED):
        assert one.get(key) == other.get(key), key
    if config.budget.run_tokens:
        assert other["staffing"]["asleep"] > 0
        assert other["staffing"]["held_back"] > 0
        assert other["budget"]["spent_tokens"] <= 130_000


def test_an_auction_is_the_same_however_it_is_sharded(cluster: RunsOn) -> None:
    # The second term begins with what the memory holds of the first.
    overrides = ("rounds=12", "population=24", "runtime.traders_per_actor=3", "traders.staffing.rounds=5")
    config = load(Path("configs/auction.yaml"), overrides)
    one, other = play(config).summary, play(config, runs_on=cluster).summary
    assert other["layout"]["shards"] == 8
    for key in ("journal_sha256", "auction", "compute", "tokens", "conservation"):
        assert one[key] == other[key], key
    assert one["auction"]["refined"] > 0


def test_a_cascade_asks_in_the_same_turns_however_it_is_sharded(cluster: RunsOn) -> None:
    overrides = ("rounds=8", "population=24", "runtime.traders_per_actor=3")
    config = load(Path("configs/cascade.yaml"), overrides)
    one, other = play(config).summary, play(config, runs_on=cluster).summary
    assert other["layout"]["shards"] == 8
    for key in ("journal_sha256", "cascades", "tokens", "conservation"):
        assert one[key] == other[key], key
    found = one["cascades"]["careful"]
    assert 0 < found["escalated"] < found["turns"] and found["judged"] > 0


def test_a_supply_chain_orders_once_on_any_number_of_shards(swarm: Swarm, tmp_path: Path, head: str) -> None:
    shift = [f"scenario.shifts.{i}.first_round=6" for i in (0, 1)]
    keys = [part for key in ("population=25", "rounds=12", *shift) for part in ("--set", key)]
    config = Path(__file__).parents[2] / "configs" / "supply.yaml"
    shards = ("--address", head, "--set", "runtime.traders_per_actor=4")
    for name, where in (("local", ("--local",)), ("ray", shards)):
        done = swarm("run", config, *keys, *where, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    same_history(tmp_path / "local", tmp_path / "ray")
    found = summary(tmp_path / "ray")["supply"]
    assert found == summary(tmp_path / "local")["supply"]
    assert found["doubled_orders"] == 0
    assert found["news"][0]["departed"] > 0


AT_AUCTION = ("scenario.mode=market", "market.tick_cents=10", "market.max_quantity_lots=10000")
EARLY = ("scenario.shifts.0.first_round=3", "scenario.shifts.1.first_round=3")


def test_a_supply_chain_at_auction_is_the_same_however_it_is_sharded(cluster: RunsOn) -> None:
    overrides = ("population=25", "rounds=8", "runtime.traders_per_actor=9", *AT_AUCTION, *EARLY)
    config = load(Path("configs/supply.yaml"), overrides)
    one, other = play(config).summary, play(config, runs_on=cluster).summary
    assert other["layout"]["shards"] == 3
    for key in ("journal_sha256", "supply", "volume_lots", "conservation"):
        assert one[key] == other[key], key
    assert one["volume_lots"] > 0
    assert one["supply"]["news"][0]["departed"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", [(), AT_AUCTION], ids=["contracts", "market"])
def test_five_thousand_nodes_in_packed_shards_order_once(mode: tuple[str, ...], cluster: RunsOn) -> None:
    overrides = ("population=5000", "rounds=12", "runtime.traders_per_actor=1250", *EARLY, *mode)
    config = load(Path("configs/supply.yaml"), overrides)
    one, other = play(config).summary, play(config, runs_on=cluster).summary
    assert other["layout"]["shards"] == 4
    for key in ("journal_sha256", "supply", "conservation"):
        assert one[key] == other[key], key
    assert one["supply"]["doubled_orders"] == 0


def test_a_contract_is_reviewed_alike_on_any_number_of_shards(swarm: Swarm, tmp_path: Path, head: str) -> None:
    config = Path(__file__).parents[2] / "configs" / "contract.yaml"
    shards = ("--address", head, "--set", "runtime.traders_per_actor=8")
    for name, where in (("local", ("--local",)), ("ray", shards)):
        done = swarm(
            "run", config, "--set", 'scenario.rule_sets=["nda"]', "--set", "rounds=5", *where, "--out", tmp_path / name
        )
        assert done.returncode == 0, done.stderr
    # Who has no rule to read is asked the same, once for each shard, so that tokens are shared by shard.
    one, other = ((tmp_path / name / "journal.swarm").read_bytes() for name in ("local", "ray"))
    assert one == other
    found = summary(tmp_path / "ray")["contract"]
    assert found == summary(tmp_path / "local")["contract"]
    assert found["contracts"][0]["verdicts"]["nda"]["not checked"] == 0


def test_a_fraud_desk_is_the_same_however_it_is_sharded(cluster: RunsOn) -> None:
    bank = ("scenario.days_before=12", "scenario.payments_a_day=300", "scenario.prevalence_ppm=10000")
    config = load(
        Path("configs/fraud.yaml"), ("rounds=4", "runtime.traders_per_actor=3", "runtime.start_timeout_s=900", *bank)
    )
    one, spread = play(config).summary, play(config, runs_on=cluster)
    other, desk = spread.summary, spread.plan.run.scenario
    # Accounts lie on as many shards, and the figures came from there.
    assert other["layout"]["shards"] == other["layout"]["parts"] == 3
    assert isinstance(desk, FraudDesk) and isinstance(desk.engine.feed, SpreadStream)
    for key in ("journal_sha256", "fraud", "conservation"):
        assert one[key] == other[key], key
    assert one["fraud"]["alerts"] > 0


def test_accounts_on_a_part_that_is_killed_are_taken_in_again(cluster: RunsOn) -> None:
    payments = made(3, 6, 300, 20_000)
    movements = Movements.of(payments)
    with joined_cluster(str(cluster.address)):
        parts = RayParts([AccountShard(movements, number, 2) for number in range(2)], {})
        spread, figures = SpreadStream(parts.take), Stream(payments)
        assert spread.take(900).tobytes() == figures.take(900).tobytes()
        ray.kill(parts.actors[1], no_restart=False)
        assert spread.take(len(payments)).tobytes() == figures.take(len(payments)).tobytes()
        parts.end()
