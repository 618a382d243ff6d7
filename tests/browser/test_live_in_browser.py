"""A real browser follows a run on its page, steps in, and comes back after its server has been away."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swarm.config_file import resolve
from swarm.planning import composed
from swarm.runtime.play import play
from swarm.simulation.deeds import DEEDS, STAKED
from swarm.simulation.folder import RunFolder
from swarm.simulation.replay import replay
from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.driven import Browser, Tab, browser
from tests.patience import patience

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason=MISSING)]

EVIL = '<img src=x onerror="document.title=1"><b>bold</b>'
SHOWN_ROUND = "Number(document.querySelector('#line dd')?.textContent.split(' ')[0])"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@contextmanager
def running(folder: Path, *options: str, config: str = "configs/wood.yaml") -> Iterator[tuple[str, str]]:
    """A run with its page, as the command line starts it; yields the address with a token, and the one without."""
    command = [sys.executable, "-m", "swarm", "run", config, "--local", "--live", "--out", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        addresses: list[str] = []
        while len(addresses) < 2:
            line = process.stdout.readline()
            assert line, "the run has ended before it said its addresses"
            if line.startswith("live page "):
                addresses.append(line.split()[2])
        yield addresses[0], addresses[1]
    finally:
        process.terminate()
        try:
            process.communicate(timeout=patience(60))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def click(tab: Tab, selector: str) -> None:
    tab.run(f"document.querySelector({json.dumps(selector)}).dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")


def test_a_visitor_follows_a_run_opens_a_trader_and_does_each_deed(chromium: Browser, tmp_path: Path) -> None:
    with running(tmp_path / "run", "--live-at", "127.0.0.1:0", "--pace", "0.4", "--set", "rounds=400") as (mine, _):
        tab = chromium.tab()
        tab.open(mine)
        tab.wait("document.querySelectorAll('.figure').length == 40")
        # The token is no part of the address that stays in the browser's history.
        assert "token" not in tab.run("location.href")
        first = tab.wait(SHOWN_ROUND)
        tab.wait(f"{SHOWN_ROUND} >= {first} + 20", 120)
        click(tab, "[data-do=hold]")
        tab.wait("document.querySelector('#status').textContent.startsWith('held after round')")
        click(tab, ".figure")
        tab.wait("document.querySelector('#opened pre')?.textContent.includes('You live in the Wood')")
        assert tab.run("document.querySelector('#opened .reply').textContent.length") > 0
        # Without a patron nobody keeps stakes, and what needs them is not offered.
        offered = [name for name, kind in DEEDS.items() if kind not in STAKED]
        assert tab.run("[...document.querySelectorAll('#choice button')].map((b) => b.textContent)") == offered
        for deed in offered:
            click(tab, f"#choice button:nth-child({offered.index(deed) + 1})")
            tab.wait(f"document.querySelector('[aria-selected=true]').textContent == '{deed}'")
            tab.run(f"document.querySelectorAll('#form .long input').forEach((i) => i.value = {json.dumps(EVIL)})")
            tab.run("document.querySelector('#answer').textContent = ''")
            click(tab, "#form .primary")
            tab.wait("document.querySelector('#answer').textContent.startsWith('it is done after round')")
        tab.wait(f"document.querySelectorAll('#acts .waits').length == {len(offered)}")
        click(tab, "[data-do='one round']")
        tab.wait("document.querySelectorAll('#acts .waits').length == 0")
        tab.wait("document.querySelector('#gossip .asked') !== null")
        assert "news:" in tab.run("document.querySelector('#acts').textContent")
        # What was said is shown as it was said, and is nothing but text.
        assert EVIL in tab.run("document.querySelector('#news').textContent")
        assert tab.run("document.querySelectorAll('#news img, #news b, #gossip img').length") == 0
        click(tab, "[data-do='stop after this round']")
        tab.wait("document.querySelector('#status').textContent.startsWith('stopped after round')", 60)
        assert not tab.complaints
        tab.kill()
    folder = RunFolder(tmp_path / "run")
    assert replay(folder.journals, composed).holds
    done = folder.read_record().summary["by_hand"]["told"]
    assert len(done) >= len(offered) and not any(why for *_, why in done)
    assert EVIL not in folder.report.read_text(encoding="utf-8")


def test_a_patron_sees_purse_and_aim_and_begins_by_one_click(chromium: Browser, tmp_path: Path) -> None:
    alone = ("--set", "parties.patron.script=[]", "--set", "parties.patron.gambit=null", "--set", "rounds=400")
    options = ("--live-at", "127.0.0.1:0", "--pace", "0.4", *alone)
    with running(tmp_path / "run", *options, config="configs/patron.yaml") as (mine, look):
        tab, other = chromium.tab(), chromium.tab()
        tab.size(400, 900)
        tab.open(mine)
        tab.wait("document.querySelector('#purse')?.textContent == '2,000 of 2,500 pebbles'", 60)
        click(tab, "#firsts button")
        tab.wait("document.querySelector('#purse').textContent.includes('at stake')", 60)
        tab.wait("document.querySelector('#board').textContent.includes('shorts 1')", 60)
        # Whose act it was, and whether it is done, stand in a line each, however narrow the page.
        tab.wait("document.querySelectorAll('#acts li').length", 60)
        assert tab.run(
            "[...document.querySelectorAll('#acts b, #acts .note')].every((e) => e.getBoundingClientRect().height < 30)"
        )
        # Who only looks on sees the same, and has nothing to click.
        other.open(look)
        other.wait("document.querySelector('#board')?.textContent.includes('shorts 1')", 60)
        assert other.run("document.querySelectorAll('#firsts button').length") == 0
        assert not tab.complaints and not other.complaints
        tab.kill()
        other.kill()


def test_tabs_that_are_frozen_or_killed_hold_up_nobody(chromium: Browser, tmp_path: Path) -> None:
    with running(tmp_path / "run", "--live-at", "127.0.0.1:0", "--pace", "0.2", "--set", "rounds=1000") as (_, look):
        tabs = [chromium.tab() for _ in range(4)]
        for tab in tabs:
            tab.open(look)
            tab.wait(f"{SHOWN_ROUND} > 0")
        assert tabs[0].run(
            "document.querySelector('#deeds').hidden && !document.querySelector('#controls').children.length"
        )
        tabs[1].freeze()
        tabs[2].kill()
        at = tabs[0].run(SHOWN_ROUND)
        tabs[0].wait(f"{SHOWN_ROUND} >= {at} + 10", 60)
        tabs[1].freeze(False)
        # It goes on with what is newest, and not with all that it has missed.
        tabs[1].wait(f"{SHOWN_ROUND} >= {at} + 10")
        for tab in (tabs[0], tabs[1], tabs[3]):
            tab.kill()


def test_a_page_comes_back_once_its_server_is_there_again(chromium: Browser, tmp_path: Path) -> None:
    tab = chromium.tab()
    with running(tmp_path / "first", "--live-at", "127.0.0.1:0", "--set", "rounds=3", "--pace", "0") as (_, look):
        tab.open(look)
        tab.wait("document.querySelector('#status').textContent.startsWith('finished')", 60)
        port = look.rpartition(":")[2]
    tab.wait("document.querySelector('#status').textContent.startsWith('no connection')", 60)
    again = ("--live-at", f"127.0.0.1:{port}", "--set", "rounds=4", "--set", "name=other", "--pace", "0")
    with running(tmp_path / "second", *again):
        tab.wait("document.querySelector('#name').textContent == 'other'", 90)
        tab.wait("document.querySelector('#status').textContent == 'finished: all 4 rounds'", 60)
    tab.kill()


@pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1_400, False), (1_400, True)])
def test_the_page_fits_its_window(chromium: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    config = resolve({"rounds": 3, "population": 60, "traders": {"minds": {"zip": 1}}})
    play(config, journals_in=tmp_path)
    command = [sys.executable, "-c", SERVE, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        tab = chromium.tab()
        tab.size(width, 900, dark)
        tab.open(process.stdout.readline().strip())
        tab.wait("document.querySelectorAll('.figure').length == 45")
        assert tab.run("document.documentElement.scrollWidth") <= width
        # Every figure stands within the picture, also on a narrow page.
        boxes = tab.run(
            "(() => { const s = document.querySelector('#scene').getBoundingClientRect();"
            "return [...document.querySelectorAll('.figure .inner')].map((f) => f.getBoundingClientRect())"
            ".filter((b) => b.left < s.left - 12 || b.right > s.right + 12 || b.bottom > s.bottom + 6).length; })()"
        )
        assert boxes == 0
        # What is said at the border is no narrower than elsewhere.
        assert tab.run(
            "(() => { const said = document.createElement('p'); said.textContent = 'firewood is plenty';"
            "document.querySelector('#bubbles').replaceChildren(said);"
            "return ['50%', '95%'].map((left) => { said.style.left = left; return said.offsetHeight; })"
            ".every((height, _, all) => height == all[0]); })()"
        )
        painted = tab.run("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
        assert painted >= 0
        assert not tab.complaints
        tab.kill()
    finally:
        process.terminate()
        process.communicate(timeout=patience(30))


SERVE = """
import sys, time
from pathlib import Path
from swarm.live.opened import Address, of_past
from swarm.planning import composed
from swarm.simulation.folder import RunFolder
from swarm.simulation.replay import replay
journals = RunFolder(Path(sys.argv[1])).journals
with of_past(Address("127.0.0.1", 0), journals, composed) as shown:
    replay(journals, composed, shown.watchers)
    shown.over("finished")
    print(shown.url, flush=True)
    time.sleep(300)
"""
