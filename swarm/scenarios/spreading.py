"""Work of a scenario that no decision changes, in parts that a cluster may do side by side."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable


class Part(Protocol):
    """One part of the work; pickled to where it is done."""

    def take(self, first: int, last: int) -> Any:
        """Returns the part's share of what lies from `first` to before `last`.

        It is the same whatever was asked for before, so that a part which was lost can be started again.
        """
        ...


Take = Callable[[int, int], Sequence[Any]]
"""Returns the shares of all parts."""


@runtime_checkable
class Spreads(Protocol):
    """A scenario that has such work."""

    def parts(self, count: int) -> Sequence[Part]:
        """Returns the work in so many parts."""
        ...

    def spread(self, take: Take) -> None:
        """Has the parts asked from now on, in the place of this process; before the first round."""
        ...
