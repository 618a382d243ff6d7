"""How hard the property tests try, how long a test may take, in which order they run and which are apart.

Property tests try as hard as `default` in every run, and as `nightly` with --hypothesis-profile=nightly.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.apart import is_apart, prepare, run_apart
from tests.patience import patience

settings.register_profile("default", deadline=None, max_examples=100, derandomize="CI" in os.environ)
settings.register_profile("nightly", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile("default")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A test that hangs is ended after a time that means the same on a busy machine."""
    if config.getoption("timeout", None) is None:
        config.option.timeout = patience(float(config.getini("timeout")))


RAY_EVERY = 4
"""One file in so many has tests over Ray, which wait more than they work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files over Ray are begun early and beside others, since they take longest; the smallest come last.

    A test that is to be apart says there by its own limit of time what it hung in, before it is ended here.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
        if isinstance(item, pytest.Function) and is_apart(item):
            prepare(item)
    over_ray: list[list[pytest.Item]] = []
    others: list[list[pytest.Item]] = []
    for found in sorted(files.values(), key=len, reverse=True):
        (over_ray if any(item.get_closest_marker("ray") for item in found) else others).append(found)
    for place, found in enumerate(over_ray):
        others.insert(place * RAY_EVERY, found)
    items[:] = [item for found in others for item in found]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is to be apart is run so, with the fixtures of all tests that are up by then."""
    if not is_apart(pyfuncitem):
        return None
    run_apart(pyfuncitem)
    return True


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden runs are made anew only when asked for: their change is to be read before it is committed."""
    parser.addoption("--regenerate-goldens", action="store_true", help="write tests/golden anew from the code as it is")
