"""How hard the property tests try: `default` in every run, `nightly` with --hypothesis-profile=nightly."""

import os

import pytest
from hypothesis import settings

from tests.patience import patience

settings.register_profile("default", deadline=None, max_examples=100, derandomize="CI" in os.environ)
settings.register_profile("nightly", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile("default")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A test that hangs is ended after a time that means the same on a busy machine."""
    if config.getoption("timeout", None) is None:
        config.option.timeout = patience(float(config.getini("timeout")))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden runs are made anew only when asked for: their change is to be read before it is committed."""
    parser.addoption("--regenerate-goldens", action="store_true", help="write tests/golden anew from the code as it is")
