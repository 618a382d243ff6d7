"""The errors a caller may want to tell apart, one class per boundary.

A `SwarmError` is written for the person at the keyboard: one line that names the key or the file, what was expected and
what to do. Bad replies of models are not here, since they are data (`swarm.agents.decision.DecisionError`).
"""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

HOW_TO_GIVE = (
    "one of others is installed with its package, or given as a file (`plugins: [my_module.py]` in a config, or "
    "SWARM_PLUGINS=my_module)"
)
"""What to do about a plug-in that is not at hand."""


class SwarmError(Exception):
    """Anything a user can cause or has to know; the command line prints it as one line and exits with 2."""

    exit_status = 2
    keep = ""
    """Characters of a message that stand as they are although a terminal would act on them."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, self.keep))


class ConfigError(SwarmError):
    """The config names something that does not exist, is of the wrong type or is out of range; `key` says where."""

    def __init__(self, key: str, expected: str, remedy: str = "") -> None:
        self.key = key
        super().__init__(f"{key}: {expected}" + (f"; {remedy}" if remedy else ""))


class PluginMissing(ConfigError):
    """The config names a plug-in that is not at hand here, though it may be elsewhere."""


class OutputError(SwarmError):
    """A file or folder cannot be written or read."""


class TrustError(SwarmError):
    """A run's folder demands what the user has never said yes to."""


class ResourceError(SwarmError):
    """The system grants this process less than is needed."""


class ClusterError(SwarmError):
    """A Ray cluster cannot be started, reached or used."""


class ModelError(SwarmError):
    """A model of the config cannot be used; one line for each that cannot."""

    keep = "\n"


class JournalError(SwarmError):
    """A journal is missing, damaged, or not of a version that can be read."""


class GrafanaError(SwarmError):
    """A Grafana cannot be reached, or does not take what it is given."""


class ScenarioError(SwarmError):
    """A scenario wants something moved in a form that no market takes, which its author has to mend."""


class LedgerError(SwarmError):
    """An invariant of the ledger is broken: the run must stop, since no later figure would be worth anything."""

    exit_status = 70


class ReplayMismatch(SwarmError):
    """A replay did not come to the recorded history."""

    exit_status = 1


_asked_by_options = False


@contextmanager
def asked_by_options() -> Iterator[None]:
    """Has errors speak of the command line's options while the block runs; else they speak of the API's arguments."""
    global _asked_by_options  # noqa: PLW0603 - a process is one or the other, in all of its threads
    before, _asked_by_options = _asked_by_options, True
    try:
        yield
    finally:
        _asked_by_options = before


def called(option: str, argument: str) -> str:
    """Returns what the caller knows a thing by: the command line's `option`, or the API's `argument`."""
    return option if _asked_by_options else argument


def suggest(word: str, known: Sequence[str]) -> str:
    """Returns a hint at the known word that is nearest to a mistyped one; empty where none is near."""
    # Cut off, since the comparison's time grows with the square of the length.
    close = difflib.get_close_matches(word[:80], known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def printable(text: str, keep: str = "") -> str:
    """Returns text that a terminal only shows: whatever it would act on is written as an escape, but for `keep`."""
    if text.isprintable():
        return text
    # A name in a config or a reply could else move the cursor or change the title of a window.
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
