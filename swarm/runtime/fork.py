"""Begins a fork: another future of a run's past, in a folder of its own, which a session then goes on with."""

from collections.abc import Mapping
from typing import Any

from swarm.config import RunConfig
from swarm.config_file import load
from swarm.errors import ConfigError, called
from swarm.planning import compose, composed
from swarm.schema import short
from swarm.simulation import history
from swarm.simulation.entries import to_record
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import JournalWriter
from swarm.simulation.journal_disk import rename
from swarm.simulation.plan import Fork

KEPT = ("population", "market.tick_cents", "scenario.name")
"""Keys that a fork leaves as they are, since accounts and prices come from them."""

KEPT_OF_REGIONS = ("names", "count", "roads", "travellers", "tilt_permille")
"""Keys of `regions` that a fork leaves as they are, since lands, seats and roads come from them."""


def fork(parent: RunFolder, at_round: int, overrides: tuple[str, ...], folder: RunFolder) -> RunConfig:
    """Begins another future: a folder whose journals hold the parent's past up to a round, then another config.

    A session goes on from there. What accounts, seats and prices come from must stay.
    """
    parent.check()
    parent.check_config()
    parent_config = load(parent.config)
    config = load(parent.config, overrides)
    journals = {name: parent.market(name).journal for name in parent_config.market_names}
    # Everything that can be refused is refused before the folder is begun.
    pasts = history.complete_pasts(journals, composed)
    past = history.recorded_plan(pasts, composed)
    _must_have_one_past(parent_config, config)
    rounds = pasts[0].rounds
    if not 1 <= at_round <= rounds:
        raise ConfigError(
            called("--at-round", "at_round"), f"expected a complete round of the parent, 1 to {rounds}, got {at_round}"
        )
    if config.rounds <= at_round:
        raise ConfigError("rounds", f"expected more than {at_round}, the round of the fork, got {config.rounds}")
    future = compose(config, past)
    kept, got = past.run.scenario.goods, future.run.scenario.goods
    if kept != got:
        told = f"expected the goods {short(kept)} as in the past of this fork, got {short(got)}"
        raise ConfigError("scenario", told, "leave the keys that goods come from as they are")
    with folder.begun():
        unfinished = {}
        # Journals get their names when all are whole, and the config comes last: with less there is nothing to resume.
        for name, before, plan in zip(future.names, past.markets, future.markets, strict=True):
            own = folder.market(name).journal
            own.parent.mkdir(parents=True, exist_ok=True)
            unfinished[own] = own.with_suffix(".part")
            with JournalWriter(unfinished[own], seed=before.seed) as writer:
                for payload in history.up_to_round(journals[name], at_round):
                    writer.append_payload(payload)
                writer.append(to_record(Fork(at_round, writer.sha256, overrides, plan).entry()))
        for own, part in unfinished.items():
            rename(part, own)
        folder.write_config(config.record(), future.run.config_sha256)
    return config


def chapter(parent: RunFolder, rounds: int) -> tuple[int, tuple[str, ...]]:
    """Returns the last round of a run and what its next chapter changes: so many rounds more, and exiles come back.

    All else that is remembered goes on as in any fork: sentiments, loans, alliances, cases.
    """
    parent.check()
    config = load(parent.config)
    if rounds < 1:
        raise ConfigError(called("--chapter", "chapter"), f"expected the rounds of a chapter, at least 1, got {rounds}")
    last = history.complete_pasts({n: parent.market(n).journal for n in config.market_names}, composed)[0].rounds
    # Whatever the magistrates of the config are called.
    courts = [name for name, party in config.parties.items() if party.get("party") == "magistrate"]
    return last, (f"rounds={last + rounds}", *(f"parties.{name}.amnesty=true" for name in courts))


def _must_have_one_past(before: RunConfig, after: RunConfig) -> None:
    """Raises ConfigError at the first key that a fork changes and must not."""
    for key in KEPT:
        expected, got = (_at(config.record(), key) for config in (before, after))
        if expected != got:
            raise ConfigError(
                key, f"expected {short(expected, 300)} as in the past of this fork, got {short(got, 300)}"
            )
    # Terms of margin may change, but not whether there are accounts for debts.
    if (before.market.margin is None) != (after.market.margin is None):
        raise ConfigError(
            "market.margin", "expected margin accounts as in the past of this fork, which debts come from"
        )
    if (before.regions is None) != (after.regions is None):
        raise ConfigError("regions", "expected as many markets as in the past of this fork, which accounts come from")
    for key in KEPT_OF_REGIONS if before.regions else ():
        expected, got = getattr(before.regions, key), getattr(after.regions, key)
        if expected != got:
            raise ConfigError(
                f"regions.{key}", f"expected {short(expected, 300)} as in the past of this fork, got {short(got, 300)}"
            )


def _at(record: Mapping[str, Any], key: str) -> Any:
    here: Any = record
    for part in key.split("."):
        here = here[part]
    return here
