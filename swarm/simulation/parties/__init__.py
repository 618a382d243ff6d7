"""Finds parties: one file each in this folder, with one export named PARTY, found by the file's name.

`parties` in a config names those of a run and says what each is made of. A replay makes none of them: whatever a party
was, `RecordedParty` does again what it did.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from swarm.errors import ConfigError, PluginMissing
from swarm.llm.protocol import LETTERS
from swarm.market.ledger import ROAD
from swarm.plugins import Plugins
from swarm.scenarios.protocol import Setting
from swarm.schema import StrictModel, checked
from swarm.simulation.adviser import Advised, adviser_of
from swarm.simulation.entries import Acted
from swarm.simulation.party import Act, Party, RecordedParty, Remembers, RoundView

KEY = "parties"
"""The key of a config that names a run's parties."""

NAME = re.compile("[a-z0-9_-]{1,40}")
PLUGINS = Plugins("swarm.simulation.parties", "PARTY", "party", skip=("road",))


@dataclass(frozen=True, slots=True)
class PartyPlugin:
    """The one export of a party's file: `build(name, section, seed)` makes one, and `section` is a `Config`.

    `accounts` names those that the party needs in each market, such as one that fines are paid to, and `purse` one of
    which a run can have a single owner.
    `check(name, section, goods)` raises ConfigError where a section does not fit a run with these goods, and
    `suits(name, section, scenario)` before a run begins where it would act there in vain. Where a party
    asks a model (`swarm.simulation.adviser`), `asks(section)` names the key and which of the config's it is, and
    `asks_for` what it asks of it, LETTERS or PROSE.
    `begins(section)` has, by the key of each list of things that happen, the round in which each of them begins; and
    `entries` has the kinds of entry of each key that is a list of such, by the key: what else an entry may have.
    """

    name: str
    summary: str
    Config: type[StrictModel]
    build: Callable[[str, Any, int], Party]
    accounts: tuple[str, ...] = ()
    purse: str = ""
    check: Callable[[str, Any, tuple[str, ...]], None] = lambda *_: None
    asks: Callable[[Any], tuple[str, str] | None] = lambda _: None
    suits: Callable[[str, Any, Setting], None] = lambda *_: None
    begins: Callable[[Any], Mapping[str, Sequence[int]]] = lambda _: {}
    asks_for: str = LETTERS
    entries: Mapping[str, Mapping[str, type[StrictModel]]] = field(default_factory=dict)


def made(
    sections: Mapping[str, Mapping[str, Any]], seed: int, models: Sequence[Mapping[str, Any]] = ()
) -> tuple[Party, ...]:
    """Returns the parties of a config's section `parties`, in its order; ConfigError where one is wrong.

    `models` are the entries of the config's models, of which a party may ask one.
    """
    found = []
    for name, plugin, section in read(sections):
        party = plugin.build(name, section, seed)
        if (asked := plugin.asks(section)) is not None and isinstance(party, Advised):
            party.adviser = adviser_of(asked[1], f"parties.{name}.{asked[0]}", models)
        found.append(party)
    return tuple(found)


def read(sections: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, PartyPlugin, StrictModel]]:
    """Returns each party's name, its plug-in and its section; ConfigError where one is wrong."""
    found: list[tuple[str, PartyPlugin, StrictModel]] = []
    for name, given in sections.items():
        key = f"parties.{name}"
        # The road is a party, too, and journals name parties.
        if not NAME.fullmatch(name) or name == ROAD:
            raise ConfigError(key, "expected 1 to 40 small letters, digits, `-` or `_`, and no name of the house")
        options = dict(given)
        plugin: PartyPlugin = PLUGINS.find(str(options.pop("party", "")), f"{key}.party")
        known = ", ".join(plugin.Config.model_fields)
        section = checked(plugin.Config, options, f"{key}.", f"known: {known}")
        found.append((name, plugin, section))
    return found


def must_suit(sections: Mapping[str, Mapping[str, Any]], scenario: Setting) -> None:
    """Raises ConfigError where a party of a config would act in vain in a scenario.

    A replay is not asked: its acts are recorded, with what was refused.
    """
    owners: dict[str, str] = {}
    for name, plugin, section in read(sections):
        plugin.suits(name, section, scenario)
        if plugin.purse and (owner := owners.setdefault(plugin.purse, name)) != name:
            raise ConfigError(f"{KEY}.{name}", f"it would share the account {plugin.purse!r} with {owner!r}", "use one")


def accounts_at_hand(sections: Mapping[str, Mapping[str, Any]], goods: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the accounts that a config's parties need; ConfigError where one is wrong, or does not fit these goods.

    One whose plug-in is not at hand adds none: a replay does its acts again without it, and whoever is to make it says
    that it is missing. Only acts on accounts of its own cannot be done without it.
    """
    found: list[str] = []
    for name, given in sections.items():
        with suppress(PluginMissing):
            for _, plugin, section in read({name: given}):
                plugin.check(name, section, goods)
                found += plugin.accounts
    return tuple(found)


def recorded(acted: Sequence[Mapping[int, Iterable[Acted]]], without: Collection[str] = ()) -> tuple[Party, ...]:
    """Returns those who acted in the journals of a run's markets, who do it again; all but those `without`.

    They act in the order of the journals: the first to act in a round of a market, then the second, and so on.
    """
    acts: dict[tuple[int, str], dict[int, list[Act]]] = {}
    for market, rounds in enumerate(acted):
        for round_, entries in rounds.items():
            kept = [entry for entry in entries if entry.party not in without]
            # Not everybody acts in every round, so only the order within one can be told.
            for turn, entry in enumerate(kept):
                done = acts.setdefault((turn, entry.party), {}).setdefault(round_, [])
                done += _in_market(entry, market)
    return tuple(RecordedParty(name, acts[turn, name]) for turn, name in sorted(acts))


def _in_market(entry: Acted, market: int) -> list[Act]:
    # An act is journalled in its market without saying which: that is the journal's.
    return [replace(act, market=market) for act in entry.acts]


class ResumedParty:
    """A party that does again what the journals say, and acts for itself from the first round that they do not have."""

    def __init__(self, party: Party, recorded: RecordedParty | None, rounds: int) -> None:
        """`rounds` is the number of the last round that all journals have ended."""
        self.name = party.name
        self._party, self._recorded, self._rounds = party, recorded, rounds

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns what was done in a recorded round, or what the party does."""
        done = self._recorded.act(view) if self._recorded else ()
        # In a round that the journals have, a party that did nothing is not asked again.
        if not done and view.round > self._rounds:
            return self._party.act(view)
        if isinstance(self._party, Remembers):
            self._party.saw(view)
        return done

    def saw(self, view: RoundView) -> None:
        """Shows a round to the party."""
        if isinstance(self._party, Remembers):
            self._party.saw(view)

    def succeed(self, before: Party) -> None:
        """Has the party take over from another one, which may be resumed, too."""
        if isinstance(self._party, Remembers):
            self._party.succeed(before._party if isinstance(before, ResumedParty) else before)


def resumed(parties: Sequence[Party], acted: Sequence[Mapping[int, Iterable[Acted]]], rounds: int) -> tuple[Party, ...]:
    """Returns these parties as they go on in a run whose journals end after `rounds` complete rounds.

    Behind them come those that the journals have and nobody makes now, such as a visitor's hand: they do it again.
    """
    past: dict[str, dict[int, list[Act]]] = {}
    for market, of_market in enumerate(acted):
        for round_, entries in of_market.items():
            for entry in entries:
                past.setdefault(entry.party, {}).setdefault(round_, []).extend(_in_market(entry, market))
    own = {party.name for party in parties}
    again = (ResumedParty(p, RecordedParty(p.name, past[p.name]) if p.name in past else None, rounds) for p in parties)
    return (*again, *recorded(acted, {*own, ROAD}))


def of_run(
    config_record: Mapping[str, Any],
    seed: int,
    acted: Sequence[Mapping[int, Iterable[Acted]]] = (),
    rounds: int = 0,
    hands: Sequence[Party] = (),
) -> tuple[Party, ...]:
    """Returns the parties of a run's config, then `hands`; all go on after what the markets' journals have of them."""
    configured = made(config_record.get("parties", {}), seed, config_record.get("models", ()))
    for hand in hands:
        # One name in a journal is one party.
        if hand.name == ROAD or any(hand.name == party.name for party in configured):
            raise ConfigError(f"parties.{hand.name}", "a hand of this name acts in this run, too", "rename one of them")
    return resumed((*configured, *hands), acted, rounds)
