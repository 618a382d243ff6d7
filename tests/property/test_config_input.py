"""Whatever stands in a config or behind --set: a config, or one line that names the key, in bounded time."""

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm import cli
from swarm.bounded_yaml import MAX_BYTES, MAX_DEPTH, Unreadable, parse, read_text
from swarm.config_file import load, resolve
from swarm.errors import ConfigError

WOOD = Path(__file__).parents[2] / "configs" / "wood-scripted.yaml"
LAUGHS = "a: &a [1, 2]\n" + "\n".join(
    f"{here}: &{here} [{', '.join([f'*{before}'] * 9)}]" for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "deep list": "[" * 500,
    "very deep list": "[" * 200_000,
    "deep table": "{a: " * 400,
    "deep by indent": "\n".join(" " * level + "a:" for level in range(200)),
    "long": "name: " + "x" * MAX_BYTES,
    "itself": "a: &x [*x]",
    "itself, merged": "a: &a {<<: *a}",
    "many laughs": LAUGHS,
    "digits": "seed: " + "9" * 5_000,
    "hex digits": "seed: 0x" + "f" * 5_000,
    "float digits": "seed: 1." + "9" * 100_000,
    "tag": "a: !!python/object/apply:os.getcwd []",
    "binary": "a: !!binary x",
    "twice": "seed: 1\nseed: 2",
    "list as key": "? [a]\n: 1",
    "two documents": "a: 1\n---\nb: 2",
    "control character": "a: \x1b[31m",
    "unknown alias": "a: *x",
    "surrogate": 'name: "\\ud800"',
    "nothing": "",
    "a list": "- a",
    "half": "a: {",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(HOSTILE[name], encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert "\n" not in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 2_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2024-99-99", {"a": "2024-99-99"}),
        ("a: 0x", {"a": "0x"}),
        ("yes: 1\n1: 2", {"yes": 1, "1": 2}),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
    ],
)
def test_plain_values_come_out_plain(text: str, value: object) -> None:
    found = parse(text)
    assert value is None or found == value


def test_what_two_aliases_stand_for_is_not_one_thing() -> None:
    found = parse("a: &x {b: 1}\nc: *x")
    assert found["a"] is not found["c"]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Unreadable):
            read_text(path)
        with pytest.raises(ConfigError, match="cannot be read"):
            load(path)


@pytest.mark.parametrize(
    "override", ["rounds=2024-99-99", "rounds=" + "9" * 5_000, "a=" + "[" * 999, "." * 5_000 + "=1"]
)
@pytest.mark.parametrize("key", ["", "models.²", "models." + "9" * 5_000, "\x1b[31mrounds", "scenario.\u202e"])
def test_hostile_overrides_are_one_line(key: str, override: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(WOOD, (f"{key}.{override}" if key else override,))
    assert str(refused.value).isprintable()


KEYS = st.sampled_from(
    ["rounds", "models.0.name", "scenario", "population", "traders.minds", "regions.names", "models"]
)
TEXTS = (
    st.text(max_size=60)
    | st.text("[]{}&*!|>'\"%@`:,-?#\n \t01ae.~<", max_size=60)
    | st.sampled_from(list(HOSTILE.values()))
)


@settings(max_examples=300, deadline=None)
@given(KEYS | st.text(max_size=30), TEXTS)
def test_no_override_ends_in_anything_but_a_config_or_one_line(key: str, text: str) -> None:
    try:
        load(WOOD, (f"{key}={text}",))
    except ConfigError as error:
        assert str(error).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["rounds", "population", "models", "traders", "regions", "scenario"]), JSON))
def test_no_values_end_in_anything_but_a_config_or_one_line(data: dict[str, object]) -> None:
    try:
        resolve(data)
    except ConfigError as error:
        assert str(error).isprintable()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80) | TEXTS.map(lambda text: text.encode("utf-8", "replace")))
def test_the_command_says_one_line_and_ends_with_2(content: bytes) -> None:
    file = Path(os.environ.get("TMPDIR", "/tmp")) / f"hostile-{os.getpid()}.yaml"
    file.write_bytes(content)
    said, complained = io.StringIO(), io.StringIO()
    try:
        with (
            patch.object(sys, "argv", ["swarm", "validate", str(file)]),
            redirect_stdout(said),
            redirect_stderr(complained),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
    finally:
        file.unlink()
    if ended.value.code != 0:
        assert ended.value.code == 2
        assert complained.getvalue().count("\n") == 1
        assert complained.getvalue().rstrip("\n").isprintable()
