"""The README's picture shows the run that `make run` makes."""

from tests.browser.picture import PICTURE, hash_of, with_hash, wood


def test_the_picture_is_of_the_run_that_the_readme_starts() -> None:
    shown = hash_of(PICTURE.read_bytes())
    assert shown == wood().summary["journal_sha256"], "docs/report.png is of another run: `make picture` draws it anew"


def test_a_picture_keeps_its_hash() -> None:
    drawn = with_hash(PICTURE.read_bytes(), "f" * 64)
    assert hash_of(drawn) == "f" * 64
    assert hash_of(b"\x89PNG\r\n\x1a\n") == ""
