"""Draws docs/report.png, the README's picture of a report, from a run of configs/wood.yaml.

`make picture` calls it. The run's journal hash is kept inside the picture, so that a test can tell a stale one.
"""

import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from swarm.config_file import load
from swarm.report.page import render
from swarm.runtime.play import play
from swarm.simulation.record import RunRecord
from tests.browser.chromium import CHROMIUM, MISSING, OPTIONS
from tests.patience import patience

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "wood.yaml"
PICTURE = ROOT / "docs" / "report.png"
SIZE = (1_400, 2_160)
KEYWORD = b"journal_sha256\0"
_SIGNATURE_BYTES = 8


def wood() -> RunRecord:
    """Returns the record of the run that `make run` makes."""
    return play(load(CONFIG)).record


def with_hash(png: bytes, sha256: str) -> bytes:
    """Returns the picture with a hash in a text chunk behind its first one."""
    body = b"tEXt" + KEYWORD + sha256.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = _SIGNATURE_BYTES + 12 + struct.unpack_from(">I", png, _SIGNATURE_BYTES)[0]
    return png[:end] + chunk + png[end:]


def hash_of(png: bytes) -> str:
    """Returns the hash that a picture holds; empty where it holds none."""
    at = _SIGNATURE_BYTES
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8 : at + 8 + length]
        if kind == b"tEXt" and body.startswith(KEYWORD):
            return body.removeprefix(KEYWORD).decode()
        at += 12 + length
    return ""


def main() -> None:
    """Draw the picture."""
    if CHROMIUM is None:
        sys.exit(f"picture: {MISSING}")
    record = wood()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page, shot = Path(folder, "report.html"), Path(folder, "report.png")
        page.write_text(render(record), encoding="utf-8")
        width, height = SIZE
        command = [CHROMIUM, *OPTIONS, "--hide-scrollbars", f"--user-data-dir={folder}/profile"]
        command += [f"--window-size={width},{height}", f"--screenshot={shot}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=patience(120))
        PICTURE.write_bytes(with_hash(shot.read_bytes(), record.summary["journal_sha256"]))
    sys.stdout.write(f"{PICTURE}: drawn from journal {record.summary['journal_sha256']}\n")


if __name__ == "__main__":
    main()
