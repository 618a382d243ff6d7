"""Fixtures for tests against endpoints."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.endpoint.fake_endpoint import Serve, serving


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start fake endpoints: `serve(faults="reset=0.5", seed=3)`; they end with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(options))
