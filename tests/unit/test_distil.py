"""Students: what turns are worth, which of them are learnt, and what becomes of a model that is read and written."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest

from swarm.agents.forms.menu import MenuForm
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.runtime.play import play
from swarm.simulation.gains import gain_of, orders_of
from swarm.simulation.loop import RoundOutcome
from swarm.training import labels
from swarm.training.advantages import ANOTHER_PROMPT, NO_LETTERS, Advantages, Judged
from swarm.training.distil import _judged_runs
from swarm.training.recipe import Distilling

needs_torch = pytest.mark.skipif(
    not (find_spec("torch") and find_spec("onnx")),
    reason="torch and onnx are not installed: they are the extra `train`",
)


def market(**keys: object) -> RunConfig:
    return resolve(
        {
            "seed": 5,
            "rounds": 3,
            "population": 8,
            "models": [{"name": "menus", "temperament": "value", "form": "menu"}],
            "traders": {"minds": {"menus": 3, "zi_c": 1}},
            **keys,
        }
    )


class _Outcomes:
    def __init__(self) -> None:
        self.seen: list[RoundOutcome] = []

    def started(self, *_: object) -> None: ...

    def round_done(self, outcome: RoundOutcome) -> None:
        self.seen.append(outcome)


class _Babbler:
    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        return [ModelReply("hm", TokenUsage(1, 1), "stop", 0.0) for r in requests for _ in range(r.samples)]


@pytest.fixture(scope="module")
def judged() -> tuple[Judged, list[RoundOutcome]]:
    watching, outcomes = Advantages(per_round=100), _Outcomes()
    play(market(), watching, outcomes)
    assert not watching.left_out
    return watching.corpus(), outcomes.seen


def test_each_gain_is_what_the_whole_exchange_comes_to(judged: tuple[Judged, list[RoundOutcome]]) -> None:
    corpus, outcomes = judged
    turn = 0
    for outcome in outcomes:
        basis, form = outcome.basis, outcome.plan.shard.forms[MenuForm.name]
        assert basis is not None and isinstance(form, MenuForm)
        for row in np.flatnonzero([mind == "menus" for mind in outcome.plan.shard.minds]).tolist():
            menu = form.menu(basis.seen, row)
            for number, action in enumerate(menu.actions):
                again = basis.counterfactual(outcome.plan)
                trades = again.had(row, orders_of(action, row)).cleared.trades
                expected = gain_of(trades, row, basis.seen, row) if action.legs else 0
                assert corpus.gains[turn, number] == expected
            turn += 1
    assert turn == len(corpus) == 3 * 6


def test_what_was_chosen_is_what_the_fills_of_the_run_brought(judged: tuple[Judged, list[RoundOutcome]]) -> None:
    corpus, outcomes = judged
    turn = 0
    for outcome in outcomes:
        assert outcome.basis is not None
        for row in np.flatnonzero([mind == "menus" for mind in outcome.plan.shard.minds]).tolist():
            own = gain_of(outcome.cleared.trades, row, outcome.basis.seen, row)
            assert corpus.gains[turn, corpus.chosen[turn]] == own
            turn += 1


def test_a_prompt_is_trusted_only_where_its_digest_is_the_journalled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.agents.prompt_digest.PromptDigest.of", lambda self, content: 7)
    watching = Advantages()
    outcomes = _Outcomes()
    play(market(), outcomes)
    monkeypatch.undo()
    for outcome in outcomes.seen:
        watching.round_done(outcome)
    assert not len(watching) and set(watching.left_out) == {ANOTHER_PROMPT}


def test_turns_without_letters_are_counted() -> None:
    watching = Advantages()
    play(market(), watching, clients={"menus": _Babbler()})
    assert not len(watching) and watching.left_out == {NO_LETTERS: 3 * 6}


def corpus_of(gains: list[list[int]]) -> Judged:
    n = len(gains)
    empty = np.zeros((n, 1), dtype=np.int16)
    return Judged(
        public=np.zeros((n, 1, 1), dtype=np.int16),
        round_of=np.arange(n, dtype=np.int32),
        private=np.zeros((n, 1, 1), dtype=np.int16),
        actions=empty,
        sayings=empty,
        figures=np.zeros((n, 16, 7), dtype=np.int32),
        rows=np.array([len(g) for g in gains], dtype=np.int16),
        spoken=np.ones(n, dtype=np.int16),
        gains=np.array([[*g, *[0] * (16 - len(g))] for g in gains], dtype=np.int32),
        chosen=np.zeros(n, dtype=np.int16),
    )


def test_clear_turns_are_kept_and_passes_at_their_share() -> None:
    # Six clear turns, two unclear ones, two in which nothing beats passing: a fifth of all, as among what is kept.
    corpus = corpus_of([[0, 9]] * 6 + [[0, 1]] * 2 + [[0, -5]] * 2)
    found = labels.kept(corpus, margin_ticks=3, seed=1)
    assert found.tolist()[:8] == [True] * 6 + [False] * 2
    assert found[8:].sum() == round(0.2 * 6 / 0.8)


def test_targets_are_shares_among_the_lawful_actions() -> None:
    shares = labels.targets(corpus_of([[0, 6], [0, 0, 0]]), temperature_ticks=6.0)
    assert np.allclose(shares.sum(1), 1) and not shares[0, 2:].any()
    assert shares[0, 1] / shares[0, 0] == pytest.approx(np.e)
    assert shares[1, :3] == pytest.approx([1 / 3] * 3)


def test_imitations_have_no_gains_and_the_random_ones_are_as_many_as_the_filter_keeps() -> None:
    corpus = corpus_of([[0, 9]] * 6 + [[0, 1]] * 4)
    filtered, _ = labels.to_learn(corpus, Distilling())
    everything, shares = labels.to_learn(corpus, Distilling(labels="chosen"))
    some, _ = labels.to_learn(corpus, Distilling(labels="random"))
    assert (len(filtered), len(everything), len(some)) == (6, 10, 6)
    assert not everything.gains.any() and shares[:, 0].all()


def test_whole_rounds_are_held_out(judged: tuple[Judged, list[RoundOutcome]]) -> None:
    corpus, _ = judged
    found = labels.held_out(corpus, 0.34, seed=1)
    assert len(set(corpus.round_of[found])) == 1 and not set(corpus.round_of[found]) & set(corpus.round_of[~found])
    rest = labels.taken(corpus, ~found)
    assert len(rest.public) == 2 and rest.round_of.max() == 1


@pytest.mark.parametrize("keys", [{}, {"temperament": "value", "path": "x"}])
def test_an_embedded_model_is_one_of_the_known_or_has_a_path(keys: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"models.0.*path"):
        market(models=[{"name": "menus", "engine": "embedded", **keys}])


def test_a_path_without_a_model_is_one_line_before_the_run(tmp_path: Path) -> None:
    from swarm.llm.engines.embedded import ENGINE
    from swarm.llm.engines.protocol import CheckConditions

    model = EmbeddedModel(name="mine", engine="embedded", path=tmp_path)
    (line,) = ENGINE.check([model], CheckConditions(tokens_per_turn=1_000, timeout_s=1.0))
    assert "mine" in line and "distil" in line


def test_a_model_that_is_made_again_is_loaded_again(tmp_path: Path) -> None:
    from swarm.llm.engines.embedded.engine import EmbeddedEngine

    mine = EmbeddedModel(name="mine", engine="embedded", path=tmp_path)
    for temperament in ("panic", "maker"):
        known = EmbeddedModel(name="known", engine="embedded", temperament=temperament)
        copyfile(known.weights, mine.weights)
        models = [{"name": "menus", "engine": "embedded", "temperament": temperament}]
        again, before = (
            play(market(models=models), clients={"menus": EmbeddedEngine(model)}).journal_sha256
            for model in (mine, known)
        )
        assert again == before


def test_workers_elsewhere_get_the_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    mine = EmbeddedModel(name="mine", engine="embedded", path=Path("my-mind"))
    known = EmbeddedModel(name="known", engine="embedded", temperament="value")
    assert mine.placed().weights == tmp_path / "my-mind" / "model.onnx"
    assert known.placed() == known


@needs_torch
def test_a_model_that_is_read_and_written_again_answers_as_before(tmp_path: Path) -> None:
    from swarm.llm.engines.embedded.engine import EmbeddedEngine
    from swarm.training.export import export
    from swarm.training.reading import network

    outcomes = _Outcomes()
    kept = EmbeddedModel(name="kept", engine="embedded", temperament="value")
    export(network(kept.weights), "value", tmp_path / "model.onnx")
    again = EmbeddedModel(name="again", engine="embedded", path=tmp_path)
    models = [{"name": "menus", "engine": "embedded", "temperament": "value"}]
    hashes = [
        play(market(models=models), outcomes, clients={"menus": EmbeddedEngine(model)}).journal_sha256
        for model in (kept, again)
    ]
    assert hashes[0] == hashes[1]


@needs_torch
def test_the_models_that_travel_are_of_the_form_that_is_written(tmp_path: Path) -> None:
    import onnx

    from swarm.training.export import export
    from swarm.training.reading import network

    weights = EmbeddedModel.weights_of("panic")
    export(network(weights), "panic", tmp_path / "model.onnx")
    written, travels = (onnx.load(path).graph for path in (tmp_path / "model.onnx", weights))
    assert written.node == travels.node
    forms = {
        tuple(node.op_type for node in onnx.load(EmbeddedModel.weights_of(name)).graph.node)
        for name in ("value", "momentum", "maker", "hoarder", "panic", "profit")
    }
    assert forms == {tuple(node.op_type for node in written.node)}


@needs_torch
def test_a_model_that_is_written_answers_as_the_network_that_was_trained(tmp_path: Path) -> None:
    import torch

    from swarm.llm.engines.embedded import tokenizer
    from swarm.llm.engines.embedded.engine import EmbeddedEngine
    from swarm.training.export import export
    from swarm.training.net import Net, Shape
    from swarm.training.train import question

    torch.manual_seed(3)
    net = Net(Shape(width=64, layers=3, heads=4, hidden=160))
    # Weights are written in half precision.
    net.load_state_dict({name: tensor.half().float() for name, tensor in net.state_dict().items()})
    export(net, "maker", tmp_path / "model.onnx")
    random = np.random.default_rng(3)
    public, private = (
        random.integers(1, len(tokenizer.VOCABULARY), size=(*n, tokenizer.WIDTH)) for n in ((7,), (5, 9))
    )
    # Some lines are padding, of one prompt more than of another.
    public[-2:] = private[1, -3:] = private[2, -1:] = tokenizer.PAD
    engine = EmbeddedEngine(EmbeddedModel(name="mine", engine="embedded", path=tmp_path))
    (found,) = engine._session.run(["letters"], {"public": public, "private": private})
    asked = torch.tensor([question("<act>", "maker"), question("<say>", "maker")]).expand(1, 5, 2, -1)
    with torch.no_grad():
        logits = net(torch.from_numpy(public)[None], torch.from_numpy(private)[None], asked)[0].numpy()
    first = tokenizer.FIRST_LETTER
    np.testing.assert_allclose(found, logits[..., first : first + len(tokenizer.LETTERS)], atol=1e-4)


@needs_torch
def test_a_student_is_made_from_a_run_and_decides(tmp_path: Path) -> None:
    from swarm.api import run
    from swarm.training.launch import distil_student

    run(market(), out=tmp_path / "run")
    wanted = Distilling(steps=2, relabelled=1, ablations=True)
    (tmp_path / "mine").mkdir()
    record = distil_student([tmp_path / "run"], tmp_path / "mine", wanted, tmp_path / "examples.jsonl", lambda _: None)
    assert set(record["ablations"]) == {"unfiltered", "random"}
    assert all((tmp_path / "mine" / name / "model.onnx").exists() for name in record["ablations"])
    assert len(record["stages"]) == 2 and (tmp_path / "examples.jsonl").stat().st_size
    models = [{"name": "menus", "engine": "embedded", "path": str(tmp_path / "mine")}]
    assert play(market(models=models)).rounds == 3


@needs_torch
def test_a_run_without_menus_is_refused_by_name(tmp_path: Path) -> None:
    from swarm.api import run
    from swarm.training.launch import distil_student

    run(market(models=[], traders={"minds": {"zip": 1}}), out=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"run.*menu"):
        distil_student([tmp_path / "run"], tmp_path / "mine", Distilling(), None, lambda _: None)


def test_a_run_without_menus_is_named(tmp_path: Path) -> None:
    # Rules answer from no menu, and nothing is imported for a training that cannot be.
    play(market(models=[], traders={"minds": {"zi_c": 1}}), journals_in=tmp_path)
    with pytest.raises(ConfigError, match="menu") as caught:
        list(_judged_runs([tmp_path], Distilling()))
    assert str(tmp_path) in str(caught.value)
