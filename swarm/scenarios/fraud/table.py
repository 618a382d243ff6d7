"""Reads a user's own payments from CSV or Parquet: what cannot be a payment is refused by row and name.

Nothing is guessed: amounts are exact, times have a zone, account numbers are text. Labels may be missing for any span;
such payments are watched like all others and left out of what is scored, and the notices say how many there are.
"""

import csv
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from swarm.errors import suggest
from swarm.scenarios.fraud.payments import (
    CASH_DESK,
    CHANNELS,
    DAY,
    KINDS,
    LAWFUL,
    NO_CASE,
    OUTSIDE,
    UNKNOWN,
    Payments,
    own_accounts,
)

KEY = "scenario.payments"
NEEDED = ("id", "time", "sender", "receiver", "amount", "currency", "channel")
COLUMNS = (*NEEDED, "memo", "label", "labelled_at", "case")
"""The columns of a file; the last four may be left out. A label is `lawful`, a kind of fraud, or empty: not known."""

MOST_ROWS, MOST_CENTS, MOST_MEMO, MOST_NAME = 20_000_000, 10**15, 200, 64
UNLABELLED_SPAN_DAYS = 7
"""Days in a row with payments and no label from which on a notice names the span."""

_TWICE = re.compile(r"(.+)_duplicated_\d+")
"""How polars calls a column whose name is taken."""

_AMOUNT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?|nan|inf", re.IGNORECASE)
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\d+(\.\d+)?[eE][+-]?\d+)")
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip and zstd begin."""

_NO_NAME = ("nan", "<na>", "na", "n/a", "null", "none", "unknown")

_UNSEEN = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that take no ink and are printable all the same, such as variation selectors and fillers."""

_WRITTEN_TOGETHER = ({"HAN", "HIRAGANA", "KATAKANA"}, {"HAN", "HANGUL"}, {"HAN", "BOPOMOFO"})
"""Scripts of one language, which a name may mix."""

_SCRIPTS = {
    "CJK": "HAN",
    "IDEOGRAPHIC": "HAN",
    "KATAKANA-HIRAGANA": "KATAKANA",
    "ARABIC-INDIC": "ARABIC",
    "EXTENDED": "ARABIC",
}
"""The script by the first word of a letter's Unicode name, where that is another word."""


class PaymentsError(ValueError):
    """A row of a file that cannot be a payment."""

    def __init__(self, row: int | None, column: str, what: str, remedy: str = "") -> None:
        at = f"row {row}, {column}" if row else column
        super().__init__(f"{at}: {what}" + (f"; {remedy}" if remedy else ""))


def read_payments(path: Path, utc: bool = False) -> Payments:
    """Returns the payments of a file; PaymentsError names the first row that is wrong, the file's head being row 1."""
    frame = _texts(path)
    _check_head(frame.columns)
    if missing := [name for name in NEEDED if name not in frame.columns]:
        raise PaymentsError(1, missing[0], "the column is missing", f"needed: {', '.join(NEEDED)}")
    if not 0 < len(frame) <= MOST_ROWS:
        raise PaymentsError(None, path.name, f"expected 1 to {MOST_ROWS:,} payments, got {len(frame):,}")
    # Blanks around a value mean nothing; an empty cell is an empty text.
    frame = frame.with_columns(pl.col(name).fill_null("").str.strip_chars() for name in frame.columns)
    # An accent may be written in two ways, and makes no other id of it.
    frame = frame.with_columns(pl.col("id").str.normalize("NFC"))
    _check_ids(frame)
    # Column by column, each refused with its own row.
    currencies = _parsed(frame, "currency", _currency)
    if len(other := frame["currency"].unique(maintain_order=True)) > 1:
        row = currencies.index(other[1]) + 2
        raise PaymentsError(row, "currency", f"{other[1]} among {other[0]}", "convert them, or give a file for each")
    cents = np.array(_parsed(frame, "amount", _cents), dtype=np.int64)
    names = {side: _parsed(frame, side, _account) for side in ("sender", "receiver")}
    for row, (sender, receiver) in enumerate(zip(names["sender"], names["receiver"], strict=True), start=2):
        if sender == receiver:
            raise PaymentsError(row, "receiver", f"{sender!r} pays itself", "leave it out")
    channel = np.array(_parsed(frame, "channel", _channel), dtype=np.int64)
    times = _parsed(frame, "time", lambda text: _time(text, utc))
    _check_order(times)
    # Minutes count from the midnight, in UTC, before the first payment.
    start = int(times[0] // (DAY * 60)) * DAY
    minute = np.array([int(one // 60) for one in times], dtype=np.int64) - start
    kind, notices = _labels(frame, times, utc)
    accounts = tuple(dict.fromkeys([*names["sender"], *names["receiver"]]))
    number = {name: i for i, name in enumerate(accounts)}
    memos = frame["memo"] if "memo" in frame.columns else pl.Series([""] * len(frame))
    return Payments(
        minute,
        np.array([number[name] for name in names["sender"]], dtype=np.int64),
        np.array([number[name] for name in names["receiver"]], dtype=np.int64),
        cents,
        channel,
        kind,
        _cases(frame, kind),
        frame["id"],
        memos.str.slice(0, MOST_MEMO),
        accounts,
        own_accounts(accounts),
        notices=(*notices, *_alike(frame), *unlabelled(minute // DAY, kind)),
    )


def _texts(path: Path) -> pl.DataFrame:
    """Returns the file's columns as text."""
    if not path.is_file():
        what = "this is no regular file" if path.exists() else "there is no such file"
        raise PaymentsError(None, str(path), what, "give the path of a CSV or Parquet file")
    begins = b""
    try:
        with path.open("rb") as file:
            begins = file.read(4)
        # What a file is, it says itself; its name may say another thing.
        if begins == b"PAR1" or path.suffix == ".parquet":
            return pl.read_parquet(path).cast(pl.String)
        return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        if begins and path.suffix == ".csv" and not begins.startswith(_PACKED):
            _check_lines(path)
            _check_widths(path)
        said = str(error).split("\n", 1)[0][:120]
        raise PaymentsError(
            None, path.name, f"it cannot be read ({said})", "give CSV with a head, or Parquet"
        ) from None


def _check_lines(path: Path) -> None:
    """Names the first line of a file that is no text in UTF-8."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                what = f"this is no text in UTF-8 (byte 0x{line[error.start]:02x})"
                raise PaymentsError(number, "text", what, "save it as CSV in UTF-8, or as Parquet") from None


def _check_widths(path: Path) -> None:
    """Names the first row of a CSV file that has more values than there are columns, or a quote that is not closed."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, strict=True)
        number = 1
        try:
            columns = len(next(rows, ()))
            for number, values in enumerate(rows, start=2):
                if len(values) > columns:
                    what = f"{len(values)} values for {columns} columns"
                    raise PaymentsError(number, "columns", what, "put values that hold a comma in quotes")
        except csv.Error as error:
            raise PaymentsError(number + 1, "columns", f"this is no CSV ({error})", "close its quotes") from None


def _check_head(columns: list[str]) -> None:
    """Refuses columns that are not known, in the words that fit what the file seems to be."""
    head = ",".join(columns)
    if not head.replace("\t", " ").isprintable():
        raise PaymentsError(None, "file", "this is no text in UTF-8", "save it as CSV in UTF-8, or as Parquet")
    if len(columns) == 1 and (mark := re.search(r"[;|\t]", head)):
        raise PaymentsError(1, "columns", f"they are parted by {mark[0]!r}", "part them by commas")
    for name in columns:
        if name not in COLUMNS:
            twice = _TWICE.fullmatch(name)
            if twice and twice[1] in COLUMNS:
                raise PaymentsError(1, twice[1], "the column stands there twice", "leave one out")
            meant = suggest(name.strip().lower(), COLUMNS)
            raise PaymentsError(1, f"{name[:40]!r}", f"there is no such column{meant}", f"known: {', '.join(COLUMNS)}")


def _parsed(frame: pl.DataFrame, column: str, parse: Callable[[str], object]) -> list:  # type: ignore[type-arg]
    """Returns a column's values; PaymentsError with the row where `parse` raises ValueError."""
    # Most values of a column come again, and each is looked at once.
    known: dict[str, object] = {}
    found = []
    for row, text in enumerate(frame[column].to_list(), start=2):
        if text not in known:
            try:
                known[text] = parse(text)
            except ValueError as error:
                raise PaymentsError(row, column, str(error)) from None
        found.append(known[text])
    return found


def _check_ids(frame: pl.DataFrame) -> None:
    """Refuses ids that are missing or come twice; a row that comes twice as a whole is called so."""
    empty = frame.select(pl.col("id") == "").to_series()
    if empty.any():
        row = int(empty.arg_true()[0])
        if not any(frame.row(row)):
            raise PaymentsError(row + 2, "id", "the whole row is empty", "leave it out")
        raise PaymentsError(row + 2, "id", "it is missing", "alerts are filed by it")
    for row, text in enumerate(frame["id"].to_list(), start=2):
        try:
            _check_name(text)
        except ValueError as error:
            raise PaymentsError(row, "id", str(error)) from None
    twice = frame["id"].is_first_distinct()
    if twice.all():
        return
    row = int((~twice).arg_true()[0])
    first = int((frame["id"] == frame["id"][row]).arg_true()[0])
    if frame.row(row) == frame.row(first):
        raise PaymentsError(row + 2, "id", f"an exact duplicate of row {first + 2}", "leave it out")
    raise PaymentsError(row + 2, "id", f"{frame['id'][row]!r} is the id of row {first + 2}, too", "ids are unique")


def _currency(text: str) -> str:
    if not text:
        raise ValueError("it is missing; give a code such as EUR")
    if not re.fullmatch("[A-Z]{3}", text):
        raise ValueError(f"expected a code of three letters such as EUR, got {text[:20]!r}")
    return text


def _cents(text: str) -> int:
    """Returns an amount in cents."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"expected an amount such as 12.50, got {text[:20]!r}") from None
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"expected plain digits such as 1000.00, got {text[:20]!r}, which may have lost digits")
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"expected an amount above 0, got {text[:20]}; a refund is a payment the other way")
    cents = amount * 100
    if cents != int(cents):
        raise ValueError(f"expected at most two decimals, got {text[:20]}")
    if cents > MOST_CENTS:
        raise ValueError(f"expected at most {MOST_CENTS // 100:,}, got {text[:20]}")
    return int(cents)


def _check_name(text: str) -> None:
    """Raises ValueError for an id or an account whose name is not what it looks like, or would break a line."""
    if len(text) > MOST_NAME:
        raise ValueError(f"expected at most {MOST_NAME} characters, got {len(text)}")
    if not text.isprintable() or _UNSEEN.search(text):
        raise ValueError(f"{text!a} holds characters that cannot be seen, by which names are made to look alike")
    if text.isascii():
        return
    if (plain := unicodedata.normalize("NFKC", text)) != unicodedata.normalize("NFC", text):
        raise ValueError(f"{text!r} looks like {plain!r} and is another name; write it in plain characters")
    # Letters, and digits but the common ones, which go with all scripts.
    marked = [c for c in text if c.isalpha() or (c.isdigit() and not c.isascii())]
    words = {unicodedata.name(c, "?").split()[0] for c in marked}
    scripts = {_SCRIPTS.get(word, word) for word in words}
    if len(scripts) > 1 and not any(scripts <= together for together in _WRITTEN_TOGETHER):
        told = " and ".join(sorted(scripts)).lower()
        raise ValueError(f"{text!r} mixes scripts ({told}), by which names are made to look alike")


def _account(text: str) -> str:
    """Returns the name of an account as it stands."""
    if not text or text.lower() in _NO_NAME:
        raise ValueError(f"an unknown account ({text or 'empty'}); name it, or `outside` for other banks")
    if _FLOAT.fullmatch(text):
        raise ValueError(f"{text[:30]} was read as a number with a fraction and may have lost digits; write it as text")
    _check_name(text)
    if text != text.lower() and text.lower() in (CASH_DESK, OUTSIDE):
        raise ValueError(f"{text!r} looks like {text.lower()!r}, which is no customer; write that, or another name")
    # An accent may be written in two ways, and is one name.
    return unicodedata.normalize("NFC", text)


def _channel(text: str) -> int:
    if text not in CHANNELS:
        raise ValueError(f"expected {', '.join(CHANNELS)}, got {text[:20]!r}")
    return CHANNELS.index(text)


def _time(text: str, utc: bool) -> float:
    """Returns seconds since 1970 of a time with a zone."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a time such as 2026-03-01T09:30:00+01:00, got {text[:30]!r}") from None
    if when.tzinfo is None:
        if not utc:
            raise ValueError(f"{text} has no time zone; write one, or set scenario.utc to true where all are UTC")
        when = when.replace(tzinfo=UTC)
    return when.timestamp()


def _check_order(times: list[float]) -> None:
    for row, (before, now) in enumerate(pairwise(times), start=3):
        if now < before:
            told = datetime.fromtimestamp(before, UTC).isoformat()
            raise PaymentsError(
                row, "time", f"out of order: the row before it is of {told}", "sort by time, in one zone"
            )


def _labels(frame: pl.DataFrame, times: list[float], utc: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns [payments] kinds, and notices."""
    if "label" not in frame.columns:
        return np.full(len(frame), UNKNOWN), ("no column `label`: nothing is scored",)
    kind = np.array(_parsed(frame, "label", _label), dtype=np.int64)
    if (kind == UNKNOWN).all():
        return kind, ("no payment has a label: nothing is scored",)
    if "labelled_at" not in frame.columns:
        return kind, ()
    last, early = times[-1], 0
    for row, text in enumerate(frame["labelled_at"].to_list(), start=2):
        if not text:
            continue
        try:
            when = _time(text, utc)
        except ValueError as error:
            raise PaymentsError(row, "labelled_at", str(error)) from None
        if when < times[row - 2]:
            raise PaymentsError(row, "labelled_at", f"a label from before its payment ({text})", "labels come later")
        # Who decides at the end of the file could not know it.
        if when > last and kind[row - 2] != UNKNOWN:
            kind[row - 2], early = UNKNOWN, early + 1
    told = f"{early} labels are from after the last payment and are not used" if early else ""
    return kind, (told,) if told else ()


def _label(text: str) -> int:
    if text == "":
        return UNKNOWN
    if text == "lawful":
        return LAWFUL
    if text in KINDS:
        return KINDS.index(text)
    raise ValueError(f"expected lawful, empty or one of {', '.join(KINDS)}, got {text[:20]!r}")


def _cases(frame: pl.DataFrame, kind: np.ndarray) -> np.ndarray:
    """Returns [payments] numbers of cases; fraud without one is a case of its own."""
    if "case" not in frame.columns:
        return np.where(kind >= 0, np.arange(len(kind)), NO_CASE)
    named: dict[str, int] = {}
    found = []
    for row, text in enumerate(frame["case"].to_list()):
        found.append(named.setdefault(text or f"row {row}", len(named)) if kind[row] >= 0 else NO_CASE)
    return np.array(found, dtype=np.int64)


def _alike(frame: pl.DataFrame) -> tuple[str, ...]:
    """Returns a notice of payments that are one and the same in all but the id: they may have been put in twice."""
    told = pl.struct("time", "sender", "receiver", "amount", "currency", "channel")
    rows = frame.select(~told.is_first_distinct()).to_series().arg_true()
    if not len(rows):
        return ()
    return (f"payments that are like an earlier one in all but the id: {len(rows)}, the first in row {rows[0] + 2}",)


def unlabelled(day: np.ndarray, kind: np.ndarray) -> tuple[str, ...]:
    """Returns a notice for each span of days with payments of which no label is known."""
    days = np.unique(day)
    labelled = np.isin(days, day[kind != UNKNOWN])
    # Spans of days in a row that are all without a label.
    notices, start = [], None
    for i in range(len(days) + 1):
        bare = i < len(days) and not labelled[i]
        if bare and start is None:
            start = i
        elif not bare and start is not None:
            if i - start >= UNLABELLED_SPAN_DAYS:
                count = int(((day >= days[start]) & (day <= days[i - 1])).sum())
                notices.append(
                    f"days {days[start]} to {days[i - 1]} have {count} payments and no label: left out of the scores"
                )
            start = None
    return tuple(notices)
