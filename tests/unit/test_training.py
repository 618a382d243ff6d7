"""The training's examples, which need no torch, and what is said where torch is missing."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from swarm.errors import ConfigError
from swarm.llm.engines.embedded import tokenizer
from swarm.training import launch
from swarm.training.corpus import Corpus, simulate
from swarm.training.launch import train_models
from swarm.training.recipe import Recipe

MARKET = 4


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return simulate(MARKET)


def test_a_market_gives_the_same_examples_every_time(corpus: Corpus) -> None:
    again = simulate(MARKET)
    for column in fields(Corpus):
        assert np.array_equal(getattr(corpus, column.name), getattr(again, column.name)), column.name


def test_answers_are_letters_of_the_menu(corpus: Corpus) -> None:
    assert len(corpus) > 50
    assert (corpus.actions < corpus.rows[:, None]).all()
    assert (corpus.sayings < corpus.spoken[:, None]).all()
    assert corpus.round_of.max() == len(corpus.public) - 1
    # A teacher that always gave one letter would teach nothing.
    for teacher in range(corpus.actions.shape[1]):
        assert np.bincount(corpus.actions[:, teacher]).max() < 0.9 * len(corpus)


def test_figures_are_what_the_rows_of_the_prompt_say(corpus: Corpus) -> None:
    number_of = {token: number for number, token in enumerate(tokenizer.VOCABULARY)}
    menu = corpus.private[0][corpus.private[0][:, 0] == number_of["<MENU>"]]
    letter, gain = menu[-1][1], menu[-1][2]
    figure = corpus.figures[0, letter - tokenizer.FIRST_LETTER, 0]
    assert gain == tokenizer.number_token(int(figure))


def test_a_corpus_comes_back_from_its_folder(corpus: Corpus, tmp_path: Path) -> None:
    corpus.save(tmp_path / "corpus")
    loaded = Corpus.load(tmp_path / "corpus")
    assert np.array_equal(loaded.private, corpus.private)
    assert len(Corpus.join([loaded, corpus])) == 2 * len(corpus)


def test_without_torch_training_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(ConfigError, match=r"swarm train: .*torch"):
        train_models(tmp_path, Recipe(), lambda _line: None)
