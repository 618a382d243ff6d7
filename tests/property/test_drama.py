"""A patron, a magistrate and a margin desk at once, with any deeds: nothing is lost, and everything replays."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm.config_file import resolve
from swarm.planning import composed
from swarm.runtime.play import play
from swarm.simulation.party import Freeze, Move
from swarm.simulation.replay import replay
from tests.playing import Outcomes

GOODS = ("acorns", "berries", "honey")
TRADERS, ROUNDS = 10, 14

# A trader more than there are, and more pebbles than there are, so that some deeds do not hold.
trader, pebbles, term = st.integers(0, TRADERS), st.integers(1, 3_000), st.integers(1, 4)
good, lots, after = st.sampled_from(GOODS), st.integers(1, 40), st.integers(1, ROUNDS - 1)
deeds = st.one_of(
    st.fixed_dictionaries(
        {"deed": st.just("loan"), "round": after, "trader": trader, "pebbles": pebbles, "rounds": term},
        optional={"interest_permille": st.integers(0, 2_000)},
    ),
    st.fixed_dictionaries(
        {"deed": st.just("loan"), "round": after, "trader": trader, "pebbles": pebbles, "lots": lots, "good": good}
    ),
    st.fixed_dictionaries({"deed": st.just("short"), "round": after, "good": good, "lots": lots, "rounds": term}),
    st.fixed_dictionaries({"deed": st.just("bribe"), "round": after, "trader": trader, "good": good}),
    st.fixed_dictionaries({"deed": st.just("ally"), "round": after, "trader": trader, "pebbles": pebbles}),
    st.fixed_dictionaries({"deed": st.just("fine"), "round": after, "trader": trader, "amount": pebbles}),
    st.fixed_dictionaries({"deed": st.just("tip"), "round": after, "trader": trader, "good": good}),
)


@given(
    script=st.lists(deeds, max_size=10),
    ladder=st.lists(st.sampled_from(["warn", "fine", "freeze", "cap", "exile"]), min_size=1, max_size=3),
    lends=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_loans_fines_freezes_and_margin_calls_conserve_and_replay(
    script: list[dict[str, Any]], ladder: list[str], lends: bool, seed: int
) -> None:
    config = resolve(
        {
            "seed": seed,
            "rounds": ROUNDS,
            "population": TRADERS,
            "models": [],
            "market": {"margin": {}} if lends else {},
            "traders": {
                "hears": 0,
                "define": {"l": {"mind": "listener"}, "x": {"mind": "abuser", "abuse": "layering", "first_round": 3}},
                "minds": {"l": 2, "zip": 2, "x": 1},
            },
            "scenario": {"name": "wood", "shocks": [{"kind": "mania", "round": 5, "good": "honey"}]},
            # An accusation is made as easily as can be, so that there are some.
            "parties": {
                "patron": {"party": "patron", "purse_pebbles": 900, "script": script},
                "court": {"party": "magistrate", "ladder": ladder, "accuse_rate": 0.5, "exile_rate": 0.5},
            },
        }
    )
    outcomes = Outcomes()
    with tempfile.TemporaryDirectory() as folder:
        played = play(config, outcomes, journals_in=Path(folder))
        again = replay(Path(folder) / "journal.swarm", composed)
    assert again.holds, again.mismatch
    assert again.replayed_sha256 == played.journal_sha256
    for outcome in outcomes.rounds:
        total = outcome.state.balances.sum(axis=0) + outcome.named_balances.sum(axis=0)
        assert not total.any(), outcome.round
        assert (outcome.state.balances >= 0).all(), outcome.round
    # What does not hold is refused by a reason, and a trader that there is not is never touched.
    for acted in (acted for outcome in outcomes.rounds for acted in outcome.acted):
        refused = dict(acted.refused)
        assert all(refused.values())
        for number, act in enumerate(acted.acts):
            named = [np.asarray(side) for side in _sides(act) if not isinstance(side, str)]
            assert number in refused or all((side < TRADERS).all() for side in named)


def _sides(act: Any) -> list[Any]:
    if isinstance(act, Move):
        return [act.source, act.target]
    return [act.trader] if isinstance(act, Freeze) else []
