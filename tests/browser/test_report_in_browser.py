"""A real browser draws every chart of a report, with nothing but the file."""

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from swarm.report.page import render
from tests.browser.chromium import CHROMIUM, MISSING, OPTIONS
from tests.browser.picture import wood
from tests.patience import patience

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=MISSING),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(wood()), encoding="utf-8")
    return path


def open_in_chromium(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The page's document once its script has run, and what the browser logged."""
    assert CHROMIUM
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            CHROMIUM,
            *OPTIONS,
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            *options,
            "--dump-dom",
            page.as_uri(),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=patience(90), check=True)


@pytest.mark.parametrize("width", [500, 1_400])
def test_every_chart_is_drawn_at_the_width_there_is(page: Path, width: int) -> None:
    opened = open_in_chromium(page, f"--window-size={width},1000")
    charts = page.read_text(encoding="utf-8").count("data-chart=")
    assert f'data-drawn="{charts}" data-failed="0"' in opened.stdout
    drawn = re.findall(r"<svg[^>]*class=\"marks\"[^>]*?width=\"(\d+)", opened.stdout)
    assert len(drawn) == charts
    assert all(100 < int(pixels) <= width for pixels in drawn)


def test_the_browser_has_nothing_to_complain_about(page: Path) -> None:
    opened = open_in_chromium(page)
    complaints = [line for line in opened.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints
