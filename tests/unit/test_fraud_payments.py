"""Payments: how they are made and read, what is refused by row and name, and what figures say of them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from swarm.bench.fraud import GATE, Bank, alone
from swarm.scenarios.fraud.calibration import Odds, agreeing
from swarm.scenarios.fraud.described import NotUnderstood, read
from swarm.scenarios.fraud.features import COLUMN, NAMES, AccountShard, Movements, SpreadStream, Stream
from swarm.scenarios.fraud.generate import made
from swarm.scenarios.fraud.joined import COLUMN as WHOLE
from swarm.scenarios.fraud.joined import JOINED, joined
from swarm.scenarios.fraud.payments import KINDS, UNKNOWN, Payments
from swarm.scenarios.fraud.specialists import SPECIALISTS, Figures
from swarm.scenarios.fraud.table import PaymentsError, read_payments

HEAD = "id,time,sender,receiver,amount,currency,channel,memo,label"
ROWS = (
    "a,2026-03-01T09:00:00+00:00,ann,bob,12.50,EUR,transfer,rent,lawful",
    "b,2026-03-01T09:00:00+00:00,ann,bob,12.50,EUR,transfer,rent,lawful",
    "c,2026-03-02T09:30:00+01:00,bob,outside,900,EUR,transfer,,takeover",
)


def written(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "payments.csv"
    path.write_text("\n".join([head, *(rows or ROWS)]) + "\n", encoding="utf-8")
    return path


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    p = read_payments(written(tmp_path))
    # Two alike payments in one minute with ids of their own are two.
    assert p.minute.tolist() == [540, 540, 1_440 + 510]
    assert p.cents.tolist() == [1_250, 1_250, 90_000]
    assert p.kind.tolist() == [-1, -1, 0]
    assert p.own.tolist() == [True, True, False]
    pl.read_csv(tmp_path / "payments.csv", infer_schema=False).write_parquet(tmp_path / "payments.parquet")
    assert read_payments(tmp_path / "payments.parquet").digest == p.digest


@pytest.mark.parametrize(
    ("rows", "head", "told"),
    [
        ((ROWS[0], ROWS[0]), HEAD, "row 3, id: an exact duplicate of row 2"),
        ((ROWS[0], ROWS[1].replace("b,", "a,", 1).replace("12.50", "13")), HEAD, "row 3, id: 'a' is the id of row 2"),
        ((ROWS[2], ROWS[0]), HEAD, "row 3, time: out of order"),
        ((ROWS[0].replace("+00:00", ""),), HEAD, "row 2, time: 2026-03-01T09:00:00 has no time zone"),
        ((ROWS[0].replace("12.50", "0"),), HEAD, "row 2, amount: expected an amount above 0"),
        ((ROWS[0].replace("12.50", "-3"),), HEAD, "row 2, amount: expected an amount above 0"),
        ((ROWS[0].replace("12.50", "nan"),), HEAD, "row 2, amount"),
        ((ROWS[0].replace("12.50", "1.005"),), HEAD, "row 2, amount: expected at most two decimals"),
        ((ROWS[0].replace("12.50", "1.2e3"),), HEAD, "row 2, amount: expected plain digits"),
        ((ROWS[0].replace("12.50", "\u0663"),), HEAD, "row 2, amount: expected plain digits"),
        ((ROWS[0].replace("12.50", "1,200.50"),), HEAD, "row 2, columns: .* put values that hold a comma in quotes"),
        ((ROWS[0].replace("bob", "bob\u200b"),), HEAD, "row 2, receiver: .* cannot be seen"),
        ((ROWS[0].replace("bob", "\uff42ob"),), HEAD, "row 2, receiver: .* looks like 'bob'"),
        ((ROWS[0].replace("bob", "Cash"),), HEAD, "row 2, receiver: 'Cash' looks like 'cash'"),
        ((ROWS[0].replace("bob", '"b\nCHANCE 0.00 by"'),), HEAD, "row 2, receiver: .* cannot be seen"),
        (('"a\nFOUND by nobody"' + ROWS[0][1:],), HEAD, "row 2, id: .* cannot be seen"),
        ((ROWS[0].replace("bob", "ann"),), HEAD, "row 2, receiver: 'ann' pays itself"),
        ((ROWS[0].replace("bob", ""),), HEAD, "row 2, receiver: an unknown account"),
        ((ROWS[0].replace("bob", "12345678.0"),), HEAD, "row 2, receiver: 12345678.0 was read as a number"),
        ((ROWS[0].replace("bob", "1.2e+10"),), HEAD, "row 2, receiver: 1.2e"),
        ((ROWS[0].replace("EUR", ""),), HEAD, "row 2, currency: it is missing"),
        ((ROWS[0], ROWS[1].replace("EUR", "USD")), HEAD, "row 3, currency: USD among EUR"),
        ((ROWS[0].replace("bob", "b\u043eb"),), HEAD, "row 2, receiver: .* mixes scripts"),
        ((ROWS[0].replace("bob", "bob\u0967"),), HEAD, "row 2, receiver: .* mixes scripts .devanagari and latin"),
        ((ROWS[0].replace("bob", "bob\ufe0f"),), HEAD, r"row 2, receiver: 'bob\\ufe0f' .* cannot be seen"),
        ((ROWS[0].replace("bob", "b\u034fob"),), HEAD, "row 2, receiver: .* cannot be seen"),
        ((ROWS[0].replace("bob", "-12345678.0"),), HEAD, "row 2, receiver: -12345678.0 was read as a number"),
        ((ROWS[0].replace("bob", "<NA>"),), HEAD, "row 2, receiver: an unknown account"),
        (("p\u0430" + ROWS[0][1:],), HEAD, "row 2, id: .* mixes scripts"),
        (("\u00e9" + ROWS[0][1:], "e\u0301" + ROWS[1][1:]), HEAD, "row 3, id: an exact duplicate of row 2"),
        ((ROWS[0], ROWS[1].replace("transfer", '"transfer')), HEAD, "row 3, columns: this is no CSV"),
        ((ROWS[0], "", ROWS[1]), HEAD, "row 3, id: the whole row is empty"),
        ((ROWS[0].replace("transfer", "pigeon"),), HEAD, "row 2, channel"),
        ((ROWS[0].replace("lawful", "odd"),), HEAD, "row 2, label"),
        ((ROWS[0] + ",2026-02-01T00:00:00+00:00",), HEAD + ",labelled_at", "row 2, labelled_at: a label from before"),
        ((ROWS[0],), HEAD.replace("currency", "coin"), "row 1, 'coin': there is no such column"),
        ((ROWS[0],), HEAD.upper(), r"row 1, 'ID': there is no such column \(did you mean id\?\)"),
        ((ROWS[0],), HEAD.replace(",time", ", time"), r"row 1, ' time': .*did you mean time"),
        ((ROWS[0].replace(",", ";"),), HEAD.replace(",", ";"), "row 1, columns: they are parted by ';'"),
        ((ROWS[0].replace(",", "\t"),), HEAD.replace(",", "\t"), "row 1, columns: they are parted by"),
        ((ROWS[0] + ",x",), HEAD + ",id", "row 1, id: the column stands there twice"),
    ],
)
def test_what_is_no_payment_is_refused_by_row(tmp_path: Path, rows: tuple[str, ...], head: str, told: str) -> None:
    path = written(tmp_path, *rows, head=head)
    with pytest.raises(PaymentsError, match=told):
        read_payments(path)
    # The same of Parquet, but for what only text can have: other marks, and a column that stands there twice.
    if ", columns" in told or "twice" in told:
        return
    pl.read_csv(path, infer_schema=False).write_parquet(tmp_path / "payments.parquet")
    with pytest.raises(PaymentsError, match=told):
        read_payments(tmp_path / "payments.parquet")


def test_typed_parquet_is_read_and_refused_as_text_is(tmp_path: Path) -> None:
    plain = pl.read_csv(written(tmp_path), infer_schema=False)
    typed = plain.with_columns(pl.col("time").str.to_datetime(time_zone="UTC"), pl.col("amount").cast(pl.Float64))
    typed.write_parquet(tmp_path / "typed.parquet")
    assert read_payments(tmp_path / "typed.parquet").cents.tolist() == [1_250, 1_250, 90_000]
    # Account numbers that a tool has read as numbers with a fraction, and times without a zone.
    for column, values, told in (
        ("sender", [1234567890.0] * 3, "row 2, sender: .* number with a fraction"),
        ("time", typed["time"].dt.replace_time_zone(None), "row 2, time: .* no time zone"),
    ):
        typed.with_columns(pl.Series(column, values)).write_parquet(tmp_path / "bad.parquet")
        with pytest.raises(PaymentsError, match=told):
            read_payments(tmp_path / "bad.parquet")


def test_names_of_one_language_may_mix_its_scripts(tmp_path: Path) -> None:
    for name in ("\u6771\u4eac\u30bf\u30ef\u30fc", "\u4f50\u3005\u6728\u306e", "\u65b0\ud55c"):
        assert name in read_payments(written(tmp_path, ROWS[0].replace("bob", name))).accounts


def test_what_a_file_is_is_told_by_what_it_begins_with(tmp_path: Path) -> None:
    frame = pl.read_csv(written(tmp_path), infer_schema=False)
    for name in ("payments.csv", "payments.pq", "PAYMENTS.PARQUET"):
        frame.write_parquet(tmp_path / name)
        assert len(read_payments(tmp_path / name)) == len(ROWS)


def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "payments.csv"
    for content, told in (
        ("\n".join([HEAD, *ROWS]).encode("utf-16"), "no text in UTF-8"),
        (b"PK\x03\x04" + bytes(99), "no text in UTF-8"),
        (bytes(range(256)) * 9, "row 2, text: this is no text in UTF-8"),
        ("\n".join([HEAD, ROWS[0], ROWS[1].replace("bob", "b\u00f6b")]).encode("latin-1"), "row 3, text: .* 0xf6"),
        (HEAD.encode(), "expected 1 to .* payments, got 0"),
    ):
        path.write_bytes(content)
        with pytest.raises(PaymentsError, match=told):
            read_payments(path)
    with pytest.raises(PaymentsError, match="no regular file"):
        read_payments(tmp_path)


def test_payments_that_are_alike_but_for_the_id_and_files_without_labels_are_told(tmp_path: Path) -> None:
    assert read_payments(written(tmp_path)).notices == (
        "payments that are like an earlier one in all but the id: 1, the first in row 3",
    )
    bare = read_payments(written(tmp_path, ROWS[0].replace("lawful", ""), ROWS[2].replace("takeover", "")))
    assert bare.notices == ("no payment has a label: nothing is scored",)
    # A label's time has a zone as a payment's has.
    with pytest.raises(PaymentsError, match=r"row 2, labelled_at: .* no time zone"):
        read_payments(written(tmp_path, f"{ROWS[0]},2026-03-01T12:00:00", head=HEAD + ",labelled_at"))
    assert len(read_payments(tmp_path / "payments.csv", utc=True)) == 1


def test_labels_from_after_the_file_and_spans_without_any_are_told(tmp_path: Path) -> None:
    rows = [f"{ROWS[0]},2027-01-01T00:00:00+00:00", f"{ROWS[2]},"]
    p = read_payments(written(tmp_path, *rows, head=HEAD + ",labelled_at"))
    assert p.kind.tolist() == [UNKNOWN, 0]
    assert "1 labels" in p.notices[0]
    bare = [
        f"{d},2026-03-{d:02d}T09:00:00+00:00,ann,bob,5,EUR,card,,{'lawful' if d == 1 else ''}" for d in range(1, 12)
    ]
    assert read_payments(written(tmp_path, *bare)).notices == (
        "days 1 to 10 have 10 payments and no label: left out of the scores",
    )


@pytest.fixture(scope="module")
def small() -> Payments:
    return made(11, 20, 400, 4_000)


def test_payments_are_those_of_their_seed(small: Payments) -> None:
    assert made(11, 20, 400, 4_000).digest == small.digest
    assert made(12, 20, 400, 4_000).digest != small.digest
    assert (small.cents > 0).all()
    assert (small.sender != small.receiver).all()
    assert (np.diff(small.minute) >= 0).all()
    assert 0.002 < small.fraud.mean() < 0.006
    # Without fraud the lawful life is the same.
    lawful = made(11, 20, 400, 0)
    assert len(lawful) == len(small) - small.fraud.sum()


def test_figures_know_the_past_alone(small: Payments) -> None:
    whole = Stream(small).take(len(small))
    part = Stream(small)
    pieces = np.concatenate([part.take(n) for n in (1_000, 1_001, len(small))])
    assert whole.shape == (len(small), len(NAMES))
    assert (whole == pieces).all()
    # What comes later changes nothing of what was.
    early = Stream(small.without(np.arange(len(small)) >= 3_000)).take(3_000)
    assert (early == whole[:3_000]).all()


def test_joined_figures_are_those_of_the_day_and_know_no_later_one(small: Payments) -> None:
    own = Stream(small).take(len(small))
    whole = joined(small, slice(0, len(small)), own)
    assert whole.shape == (len(small), len(WHOLE)) and len(WHOLE) == own.shape[1] + len(JOINED)
    # Day by day they are the same as at once, so that tomorrow says nothing of today.
    parts = [small.rows_of(day, day + 1) for day in range(20)]
    assert (whole == np.concatenate([joined(small, rows, own[rows]) for rows in parts])).all()
    # The first payment of a day shows what its payer did later on that day.
    rows, column = parts[-1], COLUMN["new_payees_24h"]
    payer = small.sender[rows.start]
    most = own[rows][small.sender[rows] == payer, column].max() if small.own[payer] else 0.0
    assert whole[rows.start, WHOLE["payer_paid_new_payees_24h"]] == most
    # The counter and the world outside have none.
    outside = ~small.own[small.sender]
    assert (whole[outside][:, [WHOLE[name] for name in JOINED if name.startswith("payer_")]] == 0).all()


def test_specialists_see_their_own_kind(small: Payments) -> None:
    figures = Figures(joined(small, slice(0, len(small)), Stream(small).take(len(small))))
    for number, (kind, rule) in enumerate(SPECIALISTS.items()):
        score = rule(figures)
        assert (score >= 0).all()
        # In the first weeks every payee is new, and rules see much.
        assert (score[small.day >= 10] > 0).mean() < 0.05, kind
        assert (score[small.kind == number] > 0).any(), kind


def test_odds_tell_what_others_find_too_from_what_one_finds_alone() -> None:
    rarity = np.array([[3.0, 3.0, 0.0], [2.5, 0.0, 0.0], [2.0, 0.0, 4.0]])
    assert agreeing(rarity).tolist() == [[2, 0, 1], [2, 1, 1], [2, 1, 0]]
    odds, many = Odds(), np.full(20, 3.0)
    odds.learn_past(many, np.zeros(20, dtype=np.int64), np.zeros(20, dtype=np.bool_))
    odds.add(many, np.ones(20, dtype=np.int64), np.ones(20, dtype=np.bool_))
    alone, agreed, unseen = odds.probability(np.full(3, 3.0), np.array([0, 1, 2]))
    assert alone < unseen < agreed
    # What is not rare is nobody's suspect.
    assert odds.probability(np.array([1.0]), np.array([1])).tolist() == [0.0]


def test_words_become_thresholds() -> None:
    found = read("At night several new payees of one payer get transfers over 1,000.50, unlike its usual ones.")
    held = {one.figure: (one.low, one.high) for one in found.conditions}
    assert held["hour"][1] == 7
    assert held["new_payees_24h"][0] == 3
    assert held["log_cents"][0] == pytest.approx(np.log(100_050))
    table = np.zeros((1, len(NAMES)))
    assert found.scores(table).tolist() == [0.0]
    for name, (low, high) in held.items():
        table[0, COLUMN[name]] = low if np.isfinite(low) else high
    assert found.scores(table)[0] > 0
    with pytest.raises(NotUnderstood, match="understood"):
        read("Watch out for transfers.")


@pytest.mark.parametrize(
    ("paragraph", "told"),
    [
        ("Transfers over 1.2.3 to a new payee.", "written '1.2.3'"),
        ("Transfers over 9.000,00 to a new payee.", "plain digits"),
        ("Transfers over 9.000 to a new payee.", "plain digits"),
        ("Transfers over 9k to a new payee.", "written '9k'"),
        ("Unusual transfers over 2 million.", "written '2 million'"),
        ("Unusual, over 50% of what is there.", "written '50%'"),
        ("Over " + "9" * 400 + ", unusual.", "plain digits"),
        ("Not by card, over 500.", "'not by card' says what must not hold"),
        ("Unusual, but never at night.", "never at night"),
        ("Unusual, no more than 500.", "no more than 500"),
        ("Over 500 and not more than 900.", "not more than 900"),
        ("At most 2 payees a day, over 500.", "at most 2 payees"),
        ("Over 9,000 and under 100.", "both above and below"),
        ("Transfers to 0 payees.", "a count of 1 to 9,999"),
        ("Transfers to " + "9" * 400 + " payees.", "a count of 1 to 9,999"),
        ("They often pay payees.", "nothing to watch for"),
        ("Often payees in cash.", "nothing to watch for"),
    ],
)
def test_words_that_would_be_misread_are_refused(paragraph: str, told: str) -> None:
    with pytest.raises(NotUnderstood, match=told):
        read(paragraph)


def test_a_number_is_what_the_words_behind_it_count() -> None:
    def held(paragraph: str) -> dict[str, float]:
        return {one.figure: one.low for one in read(paragraph).conditions}

    assert held("More than 5 new payees within a day.") == {"new_payee": 1, "new_payees_24h": 5}
    assert held("At least 3 times the usual amount.") == {"times_usual": 3}
    assert held("Over 24 hours idle, over 900.")["log_cents"] == pytest.approx(np.log(90_000))
    assert held("Over 500 to several payees in two days.")["log_cents"] == pytest.approx(np.log(50_000))


def test_kinds_and_specialists_are_the_same() -> None:
    assert tuple(SPECIALISTS) == KINDS


@pytest.fixture(scope="module")
def each_alone() -> dict[str, float]:
    return alone(Bank.of(101), learn=False)


@pytest.mark.slow
def test_no_rule_solves_the_payments_and_they_can_be_solved(each_alone: dict[str, float]) -> None:
    # A set that one line solves says nothing of whoever solves it.
    rules = {name: recall for name, recall in each_alone.items() if name.startswith("rule_")}
    assert len(rules) == 8
    assert max(rules.values()) <= GATE, rules
    assert each_alone["ceiling"] > 0.9


@pytest.mark.slow
def test_no_single_figure_solves_the_payments(each_alone: dict[str, float]) -> None:
    assert each_alone["figure"] <= GATE


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_of_accounts_have_the_figures_of_one_process_to_the_byte(shards: int) -> None:
    payments = made(3, 12, 400, 20_000)
    stream, movements = Stream(payments), Movements.of(payments)
    parts = [AccountShard(movements, number, shards) for number in range(shards)]
    spread = SpreadStream(lambda first, last: [part.take(first, last) for part in parts])
    closed = 0
    for last in (0, 1_500, 1_501, len(payments), len(payments)):
        figures = stream.take(last)
        assert spread.take(last).tobytes() == figures.tobytes()
        closed += int(figures[:, COLUMN["closes_ring"]].sum())
    # Rings lead through accounts of several shards.
    assert closed > 0


def test_a_shard_of_accounts_that_was_lost_comes_to_the_same() -> None:
    movements = Movements.of(made(3, 6, 300, 20_000))
    shard = AccountShard(movements, 1, 3)
    shard.take(0, 700)
    first, again, other = shard.take(700, 900), shard.take(700, 900), AccountShard(movements, 1, 3).take(700, 900)
    for one in (again, other):
        assert one.of_payer.tobytes() == first.of_payer.tobytes()
        assert one.of_payee.tobytes() == first.of_payee.tobytes()
