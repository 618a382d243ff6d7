"""The parts of a scenario's own work as Ray actors, asked all at once.

An actor that is lost is started again by Ray, asked again by it, and takes in what came before by itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from swarm.errors import ClusterError
from swarm.runtime.actors import OPTIONS, PartActor
from swarm.scenarios.spreading import Part


class RayParts:
    """One actor for each part, on nodes that have the labels."""

    def __init__(self, parts: Sequence[Part], labels: Mapping[str, str]) -> None:
        actor: Any = ray.remote(PartActor).options(**OPTIONS["part"], label_selector=dict(labels))
        self.actors = [actor.remote(part) for part in parts]

    def __len__(self) -> int:
        return len(self.actors)

    def take(self, first: int, last: int) -> Sequence[Any]:
        """Returns the shares of all parts; ClusterError where one cannot be had."""
        try:
            found: list[Any] = ray.get([actor.take.remote(first, last) for actor in self.actors])
        except ray.exceptions.RayError as error:
            said = str(error).strip().split("\n", 1)[0][:200]
            raise ClusterError(f"ray: a part of the scenario's work was lost ({said})") from None
        return found

    def end(self) -> None:
        """Ends all actors."""
        for actor in self.actors:
            ray.kill(actor)
