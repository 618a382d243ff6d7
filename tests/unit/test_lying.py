"""Who is named as a liar in a council: whoever votes worse than by lot, and nobody else."""

import numpy as np

from swarm.coordination.lying import LEAST_TURNS, liars

TURNS, ACTIONS = 96, 8


def _menus(seed: int, turns: int = TURNS) -> np.ndarray:
    """Returns [turns, actions] what each action would have brought; the first one is to pass."""
    gains = np.random.default_rng(seed).integers(-5, 60, size=(turns, ACTIONS))
    gains[:, 0] = 0
    return gains


def _named(gains: np.ndarray, chosen: list[np.ndarray]) -> list[int]:
    picked = np.stack(chosen, axis=1)
    by_lot = np.stack([gains.mean(axis=1), gains.var(axis=1)], axis=1)
    return liars(np.take_along_axis(gains, picked, axis=1), picked > 0, by_lot)


def test_who_gives_the_worst_of_its_menu_is_named_and_who_knows_nothing_or_something_is_not() -> None:
    gains = _menus(1)
    lots = np.random.default_rng(2).integers(0, ACTIONS, TURNS)
    worst = 1 + gains[:, 1:].argmin(axis=1)
    assert _named(gains, [gains.argmax(axis=1), lots, worst, np.full(TURNS, 3)]) == [2]


def test_lots_are_named_no_more_often_than_the_rate_says() -> None:
    drawn = np.random.default_rng(3)
    named = [_named(_menus(seed), [drawn.integers(0, ACTIONS, TURNS) for _ in range(5)]) for seed in range(400)]
    # At 1 in 1,000 a council, more than three of 400 would come about once in 1,200 times.
    assert sum(map(bool, named)) <= 3


def test_who_only_ever_passes_is_useless_and_no_liar() -> None:
    assert _named(_menus(4), [np.zeros(TURNS, dtype=np.int64)] * 2) == []


def test_nobody_is_named_by_few_turns_nor_where_all_actions_are_alike() -> None:
    few = _menus(5, LEAST_TURNS - 1)
    assert _named(few, [1 + few[:, 1:].argmin(axis=1)]) == []
    assert _named(np.full((TURNS, ACTIONS), 7), [np.full(TURNS, 2)]) == []
