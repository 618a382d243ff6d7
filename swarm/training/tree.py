"""Lists of tokens as one tree, so that what they share is computed once. It knows no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Token lists as one tree: `tokens[i]` stands `depth[i]` tokens from the beginning, and `sees[i]` what leads to it.

    `ends[k]` is where list `k` ends. Shapes are [n], [n], [n, n] and [lists].
    """

    tokens: list[int]
    depth: list[int]
    sees: npt.NDArray[np.bool_]
    ends: list[int]

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Self:
        """Returns the tree of these lists, none of which is empty."""
        tokens: list[int] = []
        parent: list[int] = []
        depth: list[int] = []
        ends: list[int] = []
        known: dict[tuple[int, int], int] = {}
        for one in lists:
            at = -1
            for place, token in enumerate(one):
                if (at, token) not in known:
                    known[at, token] = len(tokens)
                    tokens.append(token)
                    parent.append(at)
                    depth.append(place)
                at = known[at, token]
            ends.append(at)
        # Whatever sees a token's parent sees it through the same row; a token sees itself besides.
        sees = np.eye(len(tokens), dtype=np.bool_)
        for i, above in enumerate(parent):
            if above >= 0:
                sees[i] |= sees[above]
        return cls(tokens, depth, sees, ends)
