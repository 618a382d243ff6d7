"""Kernels compiled to machine code, where numba is installed; nobody needs it to get the same results.

The only module of the market that knows numba, which is the extra `fast`. It is imported when a kernel is first asked
for, since that takes half a second, and keeps the machine code beside the module, since compiling takes seconds.
"""

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def kernel(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Returns `function` compiled, or None without numba; it uses only numbers, loops and arrays of int64."""
    try:
        from numba import njit
    except ImportError:
        return None
    # Without the interpreter's lock, so that other threads of an actor go on meanwhile.
    compiled: Callable[..., Any] = njit(cache=True, nogil=True)(function)
    return compiled
