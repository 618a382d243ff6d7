"""The embedded models: their tokenizer, replies that depend on nothing but prompt and seed, and some sense in them."""

import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from swarm.agents.policies.menu import choose, read_menu
from swarm.bench.embedded import products
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm import engines
from swarm.llm.engines.embedded import engine as embedded_engine
from swarm.llm.engines.embedded import tokenizer
from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.llm.engines.embedded.engine import EmbeddedEngine
from swarm.llm.protocol import Message, ModelReply, ModelRequest, TokenUsage
from swarm.llm.temperament import Temperament
from swarm.planning import compose
from swarm.runtime.play import play
from swarm.training.corpus import TEMPERAMENTS
from swarm.training.evaluate import calibration_error, efficiency, populations

GOLDEN = Path(__file__).parents[1] / "golden" / "embedded_replies.txt"


class Collector:
    """Answers as the value teacher and keeps every request."""

    def __init__(self) -> None:
        self.requests: list[ModelRequest] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.requests += requests
        texts = [choose("value", read_menu(r.messages[-1].content)) for r in requests]
        return [ModelReply(text, TokenUsage(0, 2), "stop", 0.0) for text in texts]


@cache
def requests() -> tuple[ModelRequest, ...]:
    """Prompts of two rounds of the wood and of the double auction."""
    kept: list[ModelRequest] = []
    for scenario in ("wood", "double_auction"):
        config = {
            "seed": 77,
            "rounds": 5,
            "population": 18,
            "scenario": {"name": scenario},
            "models": [{"name": "tiny", "engine": "embedded", "temperament": "value"}],
        }
        collector = Collector()
        play(resolve(config), clients={"tiny": collector})
        kept += collector.requests[-36:]
    return tuple(kept)


def engine(temperament: Temperament = "value", temperature: float = 0.0) -> EmbeddedEngine:
    return EmbeddedEngine(
        EmbeddedModel(name="tiny", engine="embedded", temperament=temperament, temperature=temperature)
    )


def texts(replies: Sequence[ModelReply]) -> list[str]:
    assert all(r.finish_reason == "stop" for r in replies)
    return [r.text for r in replies]


def test_each_number_has_the_token_of_the_nearest_one() -> None:
    assert [tokenizer.VOCABULARY[tokenizer.token_of(w)] for w in ("7", "+7", "-7", "0", "255")] == [
        "7",
        "7",
        "-7",
        "0",
        "255",
    ]
    for number in (256, 1_234, 98_765, -100, -1_234):
        nearest = int(tokenizer.VOCABULARY[tokenizer.number_token(number)])
        assert abs(nearest - number) <= 0.04 * abs(number)
    assert list(tokenizer.NUMBERS) == sorted(set(tokenizer.NUMBERS))


def test_goods_become_slots_whatever_they_are_called() -> None:
    text = requests()[0].messages[-1].content
    renamed = text.replace("acorns", "gadgets").replace("honey", "widgets")
    rows = []
    for prompt in (text, renamed):
        public, private = tokenizer.split_prompt(prompt)
        goods = tokenizer.market_goods(public)
        rows.append((tokenizer.encode_public(public).rows, tokenizer.encode(private, goods).rows))
    assert rows[0] == rows[1]


def test_more_words_than_are_kept_have_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "MOST_WORDS", 3)
    for _ in range(2):
        row = tokenizer.encode("NEWS zzz 7 acorns buy 99999", ("acorns", "thimbles")).rows[0]
        assert [tokenizer.VOCABULARY[token] for token in row[:5]] == ["<NEWS>", "<unk>", "7", "<good 0>", "buy"]
        assert row[5] == tokenizer.number_token(99_999)
    assert len(tokenizer._words_of(("acorns", "thimbles"))) == 3


def test_a_grid_is_padded_on_the_right_and_below() -> None:
    padded = tokenizer.grid(((5, 6), (), tuple(range(1, tokenizer.WIDTH + 1)), (9,)), 3)
    assert padded.shape == (3, tokenizer.WIDTH)
    assert padded[0].tolist() == [5, 6] + [tokenizer.PAD] * (tokenizer.WIDTH - 2)
    assert not padded[1].any()
    assert padded[2].tolist() == list(range(1, tokenizer.WIDTH + 1))
    assert tokenizer.grid((), 2).tolist() == [[tokenizer.PAD] * tokenizer.WIDTH] * 2
    padded[0, 0] = 7


def test_unknown_words_and_overlong_lines_are_borne() -> None:
    lines = tokenizer.encode("HEARD\n- " + "zzz " * 100 + "\n- ½ \N{SUPERSCRIPT TWO} 9" + "9" * 50, ())
    assert [len(row) for row in lines.rows] == [tokenizer.WIDTH, 5]
    assert tokenizer.UNKNOWN in lines.rows[1]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_reply_depends_on_its_prompt_and_seed_alone(temperature: float) -> None:
    tiny = engine(temperature=temperature)
    asked = list(requests())
    together = texts(tiny.answer(asked, 60.0))
    backwards = texts(tiny.answer(asked[::-1], 60.0))[::-1]
    alone = [texts(tiny.answer([r], 60.0))[0] for r in asked]
    pieces = [text for a, b in pairwise((0, 5, 16, 17, 72)) for text in texts(tiny.answer(asked[a:b], 60.0))]
    assert together == backwards == alone == pieces


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("temperament", ["value", "reader"])
def test_logits_are_bitwise_the_same_in_any_company_of_any_size(
    temperament: Literal["value", "reader"], threads: int
) -> None:
    tiny = EmbeddedEngine(EmbeddedModel(name="tiny", engine="embedded", temperament=temperament, threads=threads))
    asked = [embedded_engine._tokenised(0, r) for r in requests()]
    random = np.random.default_rng(5)
    for height in (4, 20, 24, 64):
        grids = [tokenizer.grid(a.private.rows, height) for a in asked if a]
        public = tokenizer.grid(asked[0].public.rows, 12) if asked[0] else np.zeros((12, tokenizer.WIDTH), np.int64)
        most = embedded_engine.CHUNK_ROWS // height
        reference: dict[int, bytes] = {}
        for size in (most, 1, 2, 3, 5, 7, most // 2, most - 1, most):
            members = random.integers(len(grids), size=size)
            private = np.stack([grids[m] for m in members])
            logits = tiny._session.run(["letters"], {"public": public, "private": private})[0]
            for member, row in zip(members.tolist(), logits, strict=True):
                assert reference.setdefault(member, row.tobytes()) == row.tobytes()


def test_padding_and_what_others_are_asked_have_no_share_in_an_answer() -> None:
    tiny = engine("panic")
    asked = [embedded_engine._tokenised(0, r) for r in requests()[:18]]
    logits = []
    for lines, rows in ((12, 20), (16, 40)):
        private = np.stack([tokenizer.grid(a.private.rows, rows) for a in asked if a])
        public = (
            tokenizer.grid(asked[0].public.rows, lines) if asked[0] else np.zeros((lines, tokenizer.WIDTH), np.int64)
        )
        logits.append(tiny._session.run(["letters"], {"public": public, "private": private})[0])
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-4)


def test_a_long_batch_is_computed_in_pieces_and_a_short_one_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = engine()
    whole = texts(tiny.answer(requests(), 60.0))
    assert tiny.shapes(requests()[:1])[0][0] == 1
    monkeypatch.setattr(embedded_engine, "CHUNK_ROWS", 100)
    shapes = tiny.shapes(requests())
    assert sum(prompts for prompts, _, _ in shapes) == len(requests())
    assert all(prompts * rows <= 100 for prompts, rows, _ in shapes)
    assert not any(size % embedded_engine.BUCKET for _, *sizes in shapes for size in sizes)
    assert texts(tiny.answer(requests(), 60.0)) == whole


MEMORY = """
import numpy as np, psutil
from swarm.bench.embedded import engines
from swarm.llm.engines.embedded.tokenizer import WIDTH

public, private = np.ones((12, WIDTH), np.int64), np.ones((32, 20, WIDTH), np.int64)
kept = [engine._session for engine in engines().values()]
used = []
for session in kept:
    session.run(["letters"], {"public": public, "private": private})
    used.append(psutil.Process().memory_info().rss)
print((used[-1] - used[0]) / 1e6)
"""


def test_models_of_one_process_compute_in_the_same_memory() -> None:
    told = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=60)
    # Four more models kept 18 MB more, when each had its own.
    assert float(told.stdout) < 9


def test_the_benchmark_counts_the_multiplications_of_rows_questions_and_what_each_sees() -> None:
    def of(prompts: int, rows: int, lines: int) -> int:
        return sum(a * b * c * times for (a, b, c), times in products(prompts, rows, lines).items())

    # A line of its own more: its patch, three layers, and the keys and values of the last; then what attention costs.
    row = 704 * 128 + 3 * (4 * 128 * 128 + 3 * 128 * 320) + 2 * 128 * 128
    # It sees 33 others and itself, and 20 rows and the questions see it, the questions in the last layer as well.
    assert of(1, 21, 11) - of(1, 20, 11) == row + 2 * 128 * (3 * (34 + 22) + 2)
    # What is shared is computed once.
    assert of(1, 20, 11) < of(10, 20, 11) < 10 * of(1, 20, 11)


def test_hot_sampling_follows_the_seed() -> None:
    hot = engine(temperature=2.0)
    request = requests()[3]
    drawn = [hot.answer([replace(request, seed=seed)], 60.0)[0].text for seed in range(40)]
    assert len(set(drawn)) > 1
    assert drawn == [hot.answer([replace(request, seed=seed)], 60.0)[0].text for seed in range(40)]
    assert set(drawn) <= set(request.schema["enum"])


def test_no_network_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise AssertionError("an embedded model reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    embedded_engine._session.cache_clear()
    assert len(texts(engine("maker").answer(requests()[:9], 60.0))) == 9


def test_usage_counts_the_tokens_that_were_read() -> None:
    request = requests()[0]
    public, private = tokenizer.split_prompt(request.messages[-1].content)
    expected = tokenizer.encode_public(public).tokens
    expected += tokenizer.encode(private, tokenizer.market_goods(public)).tokens
    usage = engine().answer([request], 60.0)[0].usage
    assert (usage.prompt, usage.completion) == (expected + embedded_engine.QUESTION_TOKENS, 2)


def test_what_is_no_menu_and_what_is_late_are_errors_not_exceptions() -> None:
    tiny = engine()
    free = ModelRequest((Message("user", "Hello, what is 2 + 2?"),), {"type": "object"}, 2, 1)
    assert tiny.answer([free], 60.0)[0].finish_reason == "error"
    late = tiny.answer(requests()[:3], 0.0)
    assert {r.finish_reason for r in late} == {"deadline"}


def test_missing_weights_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    embedded_engine._session.cache_clear()
    monkeypatch.setattr(EmbeddedModel, "weights_of", staticmethod(lambda name: tmp_path / f"{name}.onnx"))
    with pytest.raises(ConfigError, match=r"models\.tiny: .*weights"):
        engine("panic")


def test_a_model_of_something_else_is_one_line(tmp_path: Path) -> None:
    """The file is the smallest of ONNX: a graph that gives back its one input `x` as `y`."""
    content = bytes.fromhex("0808") + _field(7, _graph()) + _field(8, _field(1, b"") + b"\x10\x0d")
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ConfigError, match="other things") as error:
        EmbeddedEngine(EmbeddedModel(name="mine", engine="embedded", path=tmp_path))
    assert error.value.key == "models.mine"


def _graph() -> bytes:
    # A vector of one float, as protobuf writes its type.
    kind = _field(2, _field(1, b"\x08\x01" + _field(2, _field(1, b"\x08\x01"))))
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Identity")
    return _field(1, node) + _field(2, b"g") + _field(11, _field(1, b"x") + kind) + _field(12, _field(1, b"y") + kind)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def test_golden_replies() -> None:
    """Regenerate with the text of the failure after training anew; a change without one is a fault."""
    lines = [f"{t}: {' '.join(texts(engine(t).answer(requests()[::4], 60.0)))}" for t in TEMPERAMENTS]
    found = "\n".join(lines) + "\n"
    assert found == GOLDEN.read_text(encoding="utf-8"), found


def test_the_models_have_learned_their_teachers() -> None:
    for temperament in TEMPERAMENTS:
        replies = texts(engine(temperament).answer(requests(), 60.0))
        taught = [choose(temperament, read_menu(r.messages[-1].content)) for r in requests()]
        agreed = np.mean([a[0] == b[0] for a, b in zip(replies, taught, strict=True)])
        assert agreed > 0.8, f"{temperament} agrees with its teacher on {agreed:.2f}"
        letters = [r[0] for r in replies]
        assert max(letters.count(letter) for letter in set(letters)) < 0.9 * len(letters)


@pytest.mark.parametrize("scenario", ["wood", "double_auction"])
def test_their_markets_are_more_efficient_than_random_ones(scenario: str) -> None:
    five, random = (
        np.array([efficiency(scenario, populations()[name], seed)[0] for seed in range(2)])
        for name in ("five tiny models", "zi_c")
    )
    assert (five > random).all()


def test_a_config_may_name_an_embedded_model() -> None:
    config = resolve({"models": [{"name": "tiny", "engine": "embedded", "temperament": "panic"}]})
    assert isinstance(engines.in_process(config.models[0]), EmbeddedEngine)
    assert compose(config).run.shard.form_of["tiny"] == "menu"


def test_calibration() -> None:
    assert calibration_error([0.95] * 100, [True] * 95 + [False] * 5) == pytest.approx(0.0)
    assert calibration_error([0.95] * 100, [False] * 100) == pytest.approx(0.95)
