"""Unit tests cannot start Ray: while one is collected or runs, ray cannot be imported and cannot start."""

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import NoReturn

import pytest

REASON = "a unit test may not use Ray: move it to tests/cluster, or what it tests out of swarm/runtime"


def is_ray(module: str) -> bool:
    """Tell whether a module is ray or lies in it."""
    return module.partition(".")[0] == "ray"


class RayRefused(MetaPathFinder):
    """Stands first among the import finders and refuses ray and its modules."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Raise for ray, and leave every other module to the next finder."""
        if is_ray(fullname):
            raise ImportError(REASON)


def refuse(*_args: object, **_options: object) -> NoReturn:
    """Stand in for ray.init, which all implicit starts of Ray go through as well."""
    raise RuntimeError(REASON)


@contextmanager
def ray_forbidden() -> Iterator[None]:
    """Keep Ray out, also where a test of another folder has imported it before."""
    finder = RayRefused()
    loaded = {name: module for name, module in sys.modules.items() if is_ray(name)}
    for name in loaded:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    with pytest.MonkeyPatch.context() as patch:
        if "ray" in loaded:
            patch.setattr(loaded["ray"], "init", refuse)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            sys.modules.update(loaded)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Cover what a test file of this folder imports while it is collected."""
    with ray_forbidden():
        return (yield)


@pytest.fixture(autouse=True)
def _no_ray() -> Iterator[None]:
    with ray_forbidden():
        yield
