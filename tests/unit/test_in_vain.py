"""What would come to nothing is refused by its key or warned of before a run, by `swarm validate` as by `swarm run`."""

from typing import Any

import pytest

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.explain import explain
from swarm.planning import compose
from swarm.preflight import check_advisers, check_in_vain, check_rounds
from swarm.simulation.deeds import DEEDS

WOOD: dict[str, Any] = {"rounds": 8, "population": 8, "models": []}
RULES: dict[str, Any] = {**WOOD, "traders": {"minds": {"zip": 1}}}


def with_abuser(abuse: str, weight: int = 1, **keys: Any) -> dict[str, Any]:
    """Returns the keys of a run with abusers of a kind; a key `traders.hears` and those of the market stand apart."""
    hears, market = keys.pop("hears", 0), keys.pop("market", {})
    define = {"x": {"mind": "abuser", "abuse": abuse, **keys}}
    minds = {"zip": 7 if weight == 1 else 2, "x": weight}
    return {**WOOD, "market": market, "traders": {"hears": hears, "define": define, "minds": minds}}


def with_patron(**keys: Any) -> dict[str, Any]:
    """Returns the keys of a run with a patron."""
    return {**RULES, "parties": {"rich": {"party": "patron", **keys}}}


def with_deed(deed: str, **fields: Any) -> dict[str, Any]:
    """Returns the keys of a run with a patron that does one deed."""
    return with_patron(script=[{"round": 2, "deed": deed, **fields}])


def checked(keys: dict[str, Any]) -> None:
    """Checks a run of these keys as it is done before anything is started."""
    config = resolve(keys)
    check_in_vain(config, compose(config).run)


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        (with_abuser("insider"), "traders.define.x.news_rounds"),
        (with_abuser("wash"), "traders.define.x.abuse"),
        (with_abuser("sybil"), "traders.define.x.abuse"),
        (with_abuser("pump"), "traders.define.x.abuse"),
        (with_abuser("spoof"), "traders.define.x.abuse"),
        (with_abuser("spoof", market={"mechanism": "continuous"}), "traders.define.x.abuse"),
        (with_abuser("squeeze"), "traders.define.x.abuse"),
        (with_deed("loan", trader=8), "parties.rich.script.0.trader"),
        (with_deed("tip", trader=80, good="honey"), "parties.rich.script.0.trader"),
        (with_deed("loan", trader=1, good="honey"), "parties.rich.script.0.lots"),
        (with_deed("shock", kind="earthquake", good="honey"), "parties.rich.script.0.kind"),
        (with_patron(model="nobody"), "parties.rich.model"),
        ({**RULES, "parties": {"court": {"party": "magistrate", "scribe": "nobody"}}}, "parties.court.scribe"),
        ({**RULES, "parties": {"rich": {"party": "patron"}, "richer": {"party": "patron"}}}, "parties.richer"),
    ],
)
def test_what_would_come_to_nothing_is_refused_by_its_key_before_the_run(keys: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as raised:
        checked(keys)
    assert raised.value.key == key
    assert ";" in str(raised.value), "it says what to do"


@pytest.mark.parametrize(
    "keys",
    [
        with_abuser("insider", news_rounds=[4]),
        with_abuser("wash", weight=6),
        with_abuser("pump", hears=1),
        with_abuser("spoof", market={"mechanisms": {"honey": "continuous"}, "rest_rounds": 2}),
        with_abuser("squeeze", market={"margin": {}}),
        with_abuser("corner"),
        with_deed("loan", trader=7, good="honey", lots=2),
        with_deed("shock", kind="mania", good="honey"),
        {
            **with_deed("loan", trader=4),
            "regions": {"names": ["east", "west"], "travellers": 2},
        },
    ],
)
def test_what_comes_to_something_is_not(keys: dict[str, Any]) -> None:
    checked(keys)


def test_a_patron_counts_the_traders_of_the_first_market() -> None:
    regions = {"regions": {"names": ["east", "west"], "travellers": 0}}
    with pytest.raises(ConfigError, match="no trader 4; use 0 to 3"):
        checked({**with_deed("loan", trader=4), **regions})


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (with_abuser("corner", first_round=9), "traders.define.x.first_round: 1 of 1 begin"),
        (with_abuser("insider", news_rounds=[7, 9]), "traders.define.x.news_rounds: 1 of 2 begin"),
        (with_deed("loan", trader=1) | {"rounds": 1}, "parties.rich.script: 1 of 1 begin"),
        (with_patron(gambit={"good": "honey", "first_round": 9}), "parties.rich.gambit.first_round: 1 of 1 begin"),
    ],
)
def test_what_begins_after_the_last_round_is_warned_of(keys: dict[str, Any], line: str) -> None:
    (warned,) = check_rounds(resolve(keys))
    assert warned.startswith(line)


@pytest.mark.parametrize("rounds", [[0], [-1], [10**9]])
def test_news_comes_in_a_round_that_there_may_be(rounds: list[int]) -> None:
    with pytest.raises(ConfigError) as raised:
        checked(with_abuser("insider", news_rounds=rounds))
    assert raised.value.key == "traders.define.x.news_rounds.0"


def test_what_a_section_within_a_section_lacks_is_told_by_its_own_keys() -> None:
    with pytest.raises(ConfigError, match="known: good, first_round, every_rounds"):
        checked(with_patron(gambit={}))


def test_every_key_of_a_party_and_every_field_of_its_deeds_is_explained() -> None:
    told = {key.key: key for key in explain("wood")}
    wanted = {"parties[magistrate].ladder", "parties[patron].gambit.good", "parties[patron].script"}
    wanted |= {f"parties[patron].script[{deed}].{field}" for deed, kind in DEEDS.items() for field in kind.model_fields}
    assert wanted <= set(told)
    assert all(told[key].meaning for key in wanted)


@pytest.mark.parametrize(
    ("party", "key", "engine", "warned"),
    [
        ("magistrate", "scribe", "scripted", True),
        ("magistrate", "scribe", "embedded", True),
        ("patron", "model", "embedded", True),
        ("patron", "model", "scripted", False),
    ],
)
def test_a_model_that_cannot_answer_what_a_party_asks_is_warned_of(
    party: str, key: str, engine: str, warned: bool
) -> None:
    keys = {**RULES, "models": [{"name": "m", "engine": engine, "temperament": "value"}]}
    lines = check_advisers(resolve({**keys, "parties": {"one": {"party": party, key: "m"}}}))
    assert [line.startswith(f"parties.one.{key}: m is of the engine {engine}") for line in lines] == [True] * warned
