"""The guard in this folder's conftest keeps Ray out of unit tests."""

import importlib

import pytest


@pytest.mark.parametrize("module", ["ray", "ray.serve"])
def test_importing_ray_is_refused(module: str) -> None:
    with pytest.raises(ImportError, match="a unit test may not use Ray"):
        importlib.import_module(module)
