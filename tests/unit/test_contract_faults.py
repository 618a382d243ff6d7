"""What a user gets wrong with a contract desk: paths, names, patterns and damaged files, each told in one line."""

import os
import random
import zipfile
from pathlib import Path

import pytest

from swarm.errors import ConfigError
from swarm.scenarios.contract.config import ContractConfig, settled
from swarm.scenarios.contract.reading import ContractError, read_contract
from swarm.scenarios.contract.rule_sets import parsed
from swarm.scenarios.contract.screener import ScreenerError, digest, load
from tests.unit.test_contract_reading import TEXT, pdf

RULE = {"id": "H1", "title": "Pay", "says": "Invoices are due soon.", "met": ["invoice"], "words": "invoice payable"}


@pytest.mark.parametrize("name", ["~nobody-of-this-name/a.yaml", "a\0b.yaml", "x" * 300 + ".yaml"])
@pytest.mark.parametrize("key", ["contract", "screener", "rule_sets"])
def test_what_can_be_no_path_is_told_with_its_key(tmp_path: Path, key: str, name: str) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    given = {"contract": str(tmp_path / "a.txt"), key: (name,) if key == "rule_sets" else name}
    with pytest.raises(ConfigError, match="is no path here") as told:
        settled(ContractConfig.model_validate(given))
    assert told.value.key == f"scenario.{key}"


def test_a_name_that_is_not_utf_8_is_told_and_the_longest_one_is_read(tmp_path: Path) -> None:
    (tmp_path / ("n" * 251 + ".txt")).write_text(TEXT)
    assert len(settled(ContractConfig(contract=str(tmp_path))).contracts) == 1
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text(TEXT)
    with pytest.raises(ConfigError, match="not UTF-8; rename it"):
        settled(ContractConfig(contract=str(tmp_path)))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"met": [""]}, "fits anywhere"),
        ({"met": ["invoice ~  ~ due"]}, "fits anywhere"),
        ({"met": [r"(?:invoice)?"]}, "fits anywhere"),
        ({"met": ["invoice ~ !x*"]}, "fits anywhere"),
        ({"met": ["a{99999999999}"]}, "no pattern"),
        ({"met": ["a)|(b"]}, "no pattern"),
        ({"met": [r"(\w+ ?)+due"]}, "for ever"),
        ({"met": ["(?:pay|paid|p)*due"]}, "for ever"),
        ({"met": [r"(?:(a\w*)b?){2,}"]}, "for ever"),
        ({"words": "   "}, "Latin"),
    ],
)
def test_a_pattern_that_says_nothing_or_never_ends_is_refused(change: dict[str, object], word: str) -> None:
    data = {"id": "house", "version": "1", "date": "2026-01-01", "title": "Ours", "rules": [{**RULE, **change}]}
    with pytest.raises(ConfigError, match=word):
        parsed(data, "scenario.rule_sets (house.yaml): ")


@pytest.mark.parametrize("pattern", [r"(?:\w+ ){0,3}due", r"\w+ \w+ due", "(?:thirty|30) days?", r"(?<!not )due"])
def test_a_pattern_with_bounds_is_taken(pattern: str) -> None:
    data = {"id": "house", "version": "1", "date": "2026-01-01", "title": "Ours", "rules": [{**RULE, "met": [pattern]}]}
    assert parsed(data, "scenario.rule_sets: ").rules[0].met == (pattern,)


def damaged(whole: bytes, number: int) -> bytes:
    """The same bytes with up to four places changed, removed or filled with what such files hold elsewhere."""
    drawn = random.Random(number)
    content = bytearray(whole)
    for _ in range(drawn.randint(1, 4)):
        at = drawn.randrange(len(content))
        span, put = drawn.choice([(1, bytes([drawn.randrange(256)])), (9, b""), (12, b"/Filter /Odd"), (0, b"<<")])
        content[at : at + span] = put
    return bytes(content)


def test_a_damaged_pdf_is_read_or_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason="pypdf is not installed (extra `contracts`)")
    whole = pdf([[(40, 700 - 14 * n, f"Line {n} of what the parties agree on.") for n in range(12)]])
    refused = 0
    for number in range(200):
        (tmp_path / "a.pdf").write_bytes(damaged(whole, number))
        try:
            read_contract(tmp_path / "a.pdf")
        except ContractError as error:
            assert str(error).startswith("a.pdf: ")
            refused += 1
    assert refused


def test_a_damaged_screener_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "screener.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("told.npy", bytes(range(256)) * 4)
    whole = path.read_bytes()
    for number in range(200):
        path.write_bytes(damaged(whole, number))
        with pytest.raises(ScreenerError, match="no screener"):
            load(path, digest(path))
