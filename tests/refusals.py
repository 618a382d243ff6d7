"""How tests expect that a config is refused: by its key and one word, whatever the sentence is."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from swarm.errors import ConfigError


@contextmanager
def refused(key: str, word: str = "") -> Iterator[None]:
    """Expects a ConfigError at `key` in the block: one plain line that has the word in it."""
    with pytest.raises(ConfigError) as caught:
        yield
    assert caught.value.key == key
    assert word in str(caught.value)
    assert str(caught.value).isprintable()
