"""Decides which node hosts which shard: by the nodes' cores, moved where nodes come and go. It knows no Ray."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A living node of a cluster."""

    id: str
    address: str
    cpus: float
    labels: Mapping[str, str]

    def has(self, labels: Mapping[str, str]) -> bool:
        """Returns whether the node has all of `labels`."""
        return all(self.labels.get(key) == value for key, value in labels.items())


def shares(shards: int, nodes: Sequence[Node], hosted: Mapping[str, int]) -> dict[str, int]:
    """Returns how many shards each node is to host: in proportion to its cores, rounded down or up.

    Where rounding leaves a choice, nodes that host more than their rounded share already keep one, so that least moves.
    Nodes without cores, as a head that is to do no work, host none unless no node has any.
    """
    weights = {n.id: n.cpus for n in nodes} if any(n.cpus for n in nodes) else {n.id: 1.0 for n in nodes}
    # Largest remainders, as seats are given to parties.
    total = sum(weights.values())
    exact = {node: shards * weight / total for node, weight in weights.items()}
    share = {node: int(quota) for node, quota in exact.items()}
    could_take = [node for node in exact if exact[node] > share[node]]
    could_take.sort(key=lambda n: (hosted.get(n, 0) <= share[n], share[n] - exact[n], n))
    for node in could_take[: shards - sum(share.values())]:
        share[node] += 1
    return share


def moves(homes: Sequence[str | None], nodes: Sequence[Node]) -> dict[int, str]:
    """Returns the fewest moves, node by shard, after which each node hosts its share; `homes` is where shards are.

    A shard without a home, or whose home is no longer among `nodes`, is given one.
    """
    if not nodes:
        return {}
    alive = {n.id for n in nodes}
    hosted = Counter(home for home in homes if home in alive)
    room = {node: share - hosted[node] for node, share in shares(len(homes), nodes, hosted).items()}
    # Free seats, one entry for each; shards without a home come before those that could stay where they are.
    targets = [node for node in sorted(room) for _ in range(max(0, room[node]))]
    chosen: dict[int, str] = {}
    for shard in [i for i, home in enumerate(homes) if home not in alive]:
        chosen[shard] = targets.pop(0)
    # The last shards of a node that has too many go, always the same ones for the same layout.
    for shard in range(len(homes) - 1, -1, -1):
        home = homes[shard]
        if home in alive and room[home] < 0:
            room[home] += 1
            chosen[shard] = targets.pop(0)
    return chosen
