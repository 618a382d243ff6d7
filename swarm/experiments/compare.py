"""Compares runs: what differs in their configs and outcomes, and the first round in which their histories part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from swarm import config_file
from swarm.experiments.outcomes import outcomes
from swarm.simulation.entries import Decided, Forked, RoundEnded, RunBegan
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import JournalReader

Values = tuple[Any, ...]
"""One value for each run that is compared."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs between runs: by key of the config and by measure, and the first round that is not the same."""

    folders: tuple[str, ...]
    config: Mapping[str, Values]
    outcome: Mapping[str, Values]
    rounds: tuple[int, ...]
    """How many digests each has: one of the opening, one of each complete round."""

    unmeasured: tuple[str, ...]
    """Folders whose summary is missing or cannot be read, so that no outcome of theirs is known."""

    parted: int | None

    def record(self) -> dict[str, Any]:
        """Returns it in plain values."""
        return {
            "runs": list(self.folders),
            "config": {key: list(values) for key, values in self.config.items()},
            "outcome": {key: list(values) for key, values in self.outcome.items()},
            "unmeasured": list(self.unmeasured),
            # The opening is no round.
            "rounds": [max(rounds - 1, 0) for rounds in self.rounds],
            "first_round_that_differs": self.parted,
        }


def compare(paths: Sequence[Path]) -> Compared:
    """Compares the runs in two or more folders; OutputError where one of them holds no run."""
    folders = [RunFolder(path) for path in paths]
    for folder in folders:
        folder.check()
        folder.check_config()
    configs = [_flat(config_file.load(folder.config).record()) for folder in folders]
    # A run that was cut off has no summary, and still has a history.
    measured = [outcomes(folder.read_record()) if folder.recorded_sha256() is not None else {} for folder in folders]
    hashes = [list(_rounds(folder)) for folder in folders]
    return Compared(
        tuple(str(folder.path) for folder in folders),
        _differing(configs),
        _differing(measured),
        tuple(map(len, hashes)),
        tuple(str(folder.path) for folder, found in zip(folders, measured, strict=True) if not found),
        _parted(hashes),
    )


def _rounds(folder: RunFolder) -> Iterator[tuple[bytes, ...]]:
    """Yields a digest of what each market's journal has of each complete round, the opening first."""
    return zip(*(_of_journal(path) for path in folder.journals.values()), strict=False)


def _of_journal(path: Path) -> Iterator[bytes]:
    """Yields a digest of the opening, then of each complete round; what only has the config is left out."""
    reader, found, opened = JournalReader(path), sha256(), False
    for offset, payload in reader.payloads():
        kind = reader.unpacked(offset, payload)[0]
        if kind in (RunBegan.__name__, Forked.__name__):
            continue
        # A round begins with what was decided; what was before the first one is the opening.
        if kind == Decided.__name__ and not opened:
            opened = True
            yield found.digest()
            found = sha256()
        found.update(payload)
        if kind == RoundEnded.__name__:
            yield found.digest()
            found = sha256()


def _parted(hashes: Sequence[Sequence[tuple[bytes, ...]]]) -> int | None:
    """Returns the first round that is not the same in all, 0 being the opening; None where none is.

    A run that was stopped early parts from the others nowhere.
    """
    return next((round_ for round_, each in enumerate(zip(*hashes, strict=False)) if len(set(each)) > 1), None)


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Returns the values of nested tables and lists by key, say `models.0.name`."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: dict[str, Any] = {}
    for name, child in children:
        found |= _flat(child, f"{key}.{name}" if key else str(name))
    # An empty table or list is a value, too.
    return found or {key: value}


def _differing(found: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
    """Returns the values by key where they are not the same in all; what one does not have is None."""
    keys = dict.fromkeys(key for one in found for key in one)
    values = {key: tuple(one.get(key) for one in found) for key in keys}
    return {key: each for key, each in values.items() if any(value != each[0] for value in each[1:])}
