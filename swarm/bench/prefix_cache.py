"""A model of an engine's prefix cache: which tokens of a prompt are computed, given the prompts before it.

As in vLLM, a prompt is cut into whole blocks, a block is found by itself and all before it, and the last token of a
prompt is always computed, since its successor is what is asked for. Nothing is ever evicted here. Kwon et al. 2023,
"Efficient memory management for large language model serving with PagedAttention".
"""

from collections.abc import Sequence

BLOCK_TOKENS = 16
"""vLLM's own default on a GPU."""


class BlockCache:
    """The blocks of one model's prompts that have been computed."""

    def __init__(self) -> None:
        # A block is known by its number; a chain of numbers stands for the whole prefix, so nothing can collide.
        self._numbers: dict[tuple[int, tuple[str, ...]], int] = {}

    def computed(self, tokens: Sequence[str]) -> int:
        """Returns how many of a prompt's tokens are not found in the cache, and puts them there."""
        # After the first block that is missing, none counts as found: a cache serves prefixes alone.
        found, before, unbroken = 0, 0, True
        for start in range(0, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
            block = (before, tuple(tokens[start : start + BLOCK_TOKENS]))
            number = self._numbers.get(block)
            if number is None:
                unbroken = False
                number = self._numbers[block] = len(self._numbers) + 1
            elif unbroken and start + BLOCK_TOKENS < len(tokens):
                found += BLOCK_TOKENS
            before = number
        return len(tokens) - found
