"""Prometheus and promtool for the tests: those on the PATH, or those that `make prometheus` has unpacked."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.patience import patience

ROOT = Path(__file__).parents[2]
UNPACKED = ROOT / ".cache" / "prometheus"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Where both programs are."""

    prometheus: Path
    promtool: Path

    def check(self, *arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """What promtool says of something, given by its arguments or, as `text`, on its standard input."""
        command = [str(self.promtool), *map(str, arguments)]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=patience(240), check=False)


@pytest.fixture(scope="session")
def prometheus() -> Prometheus:
    """Both programs; tests that need them are skipped, with the reason, where there are none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), str(UNPACKED / "bin")])
    found = [shutil.which(name, path=path) for name in ("prometheus", "promtool")]
    if found[0] is None or found[1] is None:
        missing = UNPACKED / "missing"
        reason = missing.read_text().strip() if missing.is_file() else "`make prometheus` was not run"
        pytest.skip(f"needs Prometheus and promtool: {reason}")
    return Prometheus(Path(found[0]), Path(found[1]))
