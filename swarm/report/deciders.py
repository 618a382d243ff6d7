"""Says who decided in a run and of what past it is, in the words that stand beside its results.

What is no language model is never called one, whatever the mix of minds, desks, regions and forks. It reads the summary
alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.llm.engines.protocol import Nature
from swarm.report.wording import count, listed, opened

Summary = Mapping[str, Any]

BASELINE = Nature("baseline rule", "baseline rules", is_rule=True)
GUEST = Nature("agent from outside", "agents from outside")
AND = " and "
"""What stands between the natures of a mind that asks several models."""

_NO_MODEL = "no language model"


@dataclass(frozen=True, slots=True)
class Decider:
    """The nature of a mind: a rule, or each different thing that it asks."""

    ones: tuple[Nature, ...]

    @property
    def name(self) -> str:
        """What stands next to its results."""
        return AND.join(one.name for one in self.ones)

    @property
    def plural(self) -> str:
        """What several of them are called."""
        return AND.join(one.plural for one in self.ones)

    @property
    def is_rule(self) -> bool:
        """Tells whether it is made of rules in code alone and so is no language model."""
        return all(one.is_rule for one in self.ones)

    @property
    def has_rule(self) -> bool:
        """Tells whether some of what it asks is a rule in code."""
        return any(one.is_rule for one in self.ones)


@dataclass(frozen=True, slots=True)
class Group:
    """The traders of a part of a run for whom the same kind of thing decided."""

    decider: Decider
    traders: int
    minds: tuple[str, ...]


def parts(summary: Summary) -> Sequence[Summary]:
    """Returns the stretches of rounds between which a fork changed the run's config, one where there is no fork."""
    # A summary without parts is one stretch, whose facts stand at its top.
    found: Sequence[Summary] = summary.get("parts", ())
    return found or ({key: summary[key] for key in ("minds", "natures", "asks") if key in summary},)


def nature_of_model(part: Summary, model: str) -> Nature:
    """Returns what a model of the config is, as its engine has told the run."""
    return Nature(**part["natures"][model])


def models_asked(part: Summary, mind: str) -> Sequence[str]:
    """Returns the models that a mind asked in a part of the run, none for a rule."""
    # A mind with no entry of its own has the name of the one model that it asks.
    return part.get("asks", {}).get(mind) or ([mind] if mind in part["natures"] else [])


def decider_in(part: Summary, mind: str) -> Decider:
    """Returns what a mind was in a part of the run: what the models that it asks are, a guest, or else a rule."""
    # What an agent from outside is, nobody here knows.
    none = GUEST if mind in part.get("guests", ()) else BASELINE
    found = {nature_of_model(part, model) for model in models_asked(part, mind)} or {none}
    return Decider(tuple(sorted(found, key=lambda one: one.name)))


def deciders(summary: Summary, mind: str) -> list[Decider]:
    """Returns what a mind was, in order, where a fork made something else of it."""
    return list(dict.fromkeys(decider_in(part, mind) for part in parts(summary) if mind in part["minds"]))


def nature(summary: Summary, mind: str) -> str:
    """Returns what a mind was, in the words that stand next to each of its results."""
    return ", then ".join(one.name for one in deciders(summary, mind)) or BASELINE.name


def minds(summary: Summary) -> list[str]:
    """Returns the minds of all parts of the run."""
    return list(dict.fromkeys(mind for part in parts(summary) for mind in part["minds"]))


def minds_without_model(summary: Summary) -> list[str]:
    """Returns the minds that were no language model, in the whole run or a part of it."""
    return [mind for mind in minds(summary) if any(one.has_rule for one in deciders(summary, mind))]


def groups(part: Summary) -> list[Group]:
    """Returns who decided in a part of a run, rules before models."""
    found: dict[Decider, list[str]] = {}
    for mind in part["minds"]:
        found.setdefault(decider_in(part, mind), []).append(mind)
    order = sorted(found, key=_rank)
    return [Group(one, sum(part["minds"][m] for m in found[one]), tuple(found[one])) for one in order]


def _rank(decider: Decider) -> tuple[int, str]:
    # Rules come first, since a reader must not take them for models: those of engines, baselines, then mixes.
    if decider.is_rule:
        return int(decider.ones == (BASELINE,)), decider.name
    return 2 if decider.has_rule else 3 if any(one.about for one in decider.ones) else 4, decider.name


def model_tag(summary: Summary) -> str:
    """Returns what stands next to every result by mind; empty where all minds are models."""
    rules = minds_without_model(summary)
    if not rules:
        return ""
    alone = [mind for mind in rules if all(one.is_rule for one in deciders(summary, mind))]
    if len(alone) == len(minds(summary)):
        return f"{_rules_named(summary)}, {_NO_MODEL}"
    # A mind that a rule decided for in some turns or rounds alone is named apart from those that are rules.
    in_part = [mind for mind in rules if mind not in alone]
    told_of = [", ".join(alone), f"in part {', '.join(in_part)}" if in_part else ""]
    return f"{_NO_MODEL}: {'; '.join(filter(None, told_of))}"


def mind_label(summary: Summary, mind: str) -> str:
    """Returns a mind's name and, on a line of its own, what it is."""
    return f"{mind}\n{nature(summary, mind)}"


def told(summary: Summary, *, in_full: bool = True) -> list[str]:
    """Returns a line for each part of the run that says who decided in it, and one on guests and on other models.

    `in_full` says of tiny models what they are worth, too.
    """
    stretches: list[tuple[list[Summary], str]] = []
    for part in parts(summary):
        who = _who(summary, part, in_full)
        # A fork may leave those who decide as they were, and then there is one thing to say of both sides of it.
        if stretches and stretches[-1][1] == who:
            stretches[-1][0].append(part)
        else:
            stretches.append(([part], who))
    alone = len(stretches) < 2
    lines = [f"{'' if alone else _rounds(of)}{who}" for of, who in stretches if who]
    return [*lines, *_guests(summary), *_answered(summary)]


def _who(summary: Summary, part: Summary, in_full: bool) -> str:
    """Who decided in a part of the run; empty where nobody did."""
    found = groups(part)
    said = [_said(group, in_full) for group in found]
    if len(found) == 1:
        return f"the traders were {said[0]} ({_named(summary, found[0])})"
    everybody = sum(group.traders for group in found)
    each = (f"{count(g.traders)} were {s} ({_named(summary, g)})" for g, s in zip(found, said, strict=True))
    return f"of {count(everybody)} traders {'; '.join(each)}" if found else ""


def notice(summary: Summary) -> tuple[str, str]:
    """Returns heading and text of the notice that (some) results are no large language model's; empty where all are."""
    rules = minds_without_model(summary)
    small = _told_about(summary)
    about = " ".join(
        f"{'Each of ' if len(names) > 1 else ''}{', '.join(names)} {nature.about}" for nature, names in small.items()
    )
    # What holds for some of the decisions alone: guests, and turns that a cheaper rule answered.
    extra = " ".join(f"{opened(line)}." for line in (*_guests(summary), *_answered(summary)))
    if not rules:
        heading = opened(AND.join(nature.plural for nature in small))
        heading = heading or ("Some decisions are no language model's" if extra else "")
        return heading, " ".join(filter(None, (about, extra)))
    # A fork changed who decides, so each part is told by itself.
    if len(parts(summary)) > 1:
        heading = f"{opened(_rules_named(summary))}, {_NO_MODEL}, for some of the rounds or traders"
        if all(group.decider.is_rule for part in parts(summary) for group in groups(part)):
            heading = f"{opened(_rules_named(summary))}, {_NO_MODEL}"
        who = "".join(f"{opened(line)}. " for line in told(summary, in_full=False))
        nothing = "Results of rules in code say nothing about what a language model would do."
        return heading, f"{who}{nothing} {about}".rstrip()
    # Without a fork the traders can be counted, and the notice says for how many of them it holds.
    traders = sum(parts(summary)[0]["minds"][mind] for mind in rules)
    everyone = traders == summary["traders"]
    scope = f"all {count(traders)} traders" if everyone else f"{count(traders)} of {count(summary['traders'])} traders"
    heading = f"{opened(_rules_named(summary))}, {_NO_MODEL}" + ("" if everyone else f", for {scope}")
    alone = all(one.is_rule for mind in rules for one in deciders(summary, mind))
    beside = "" if alone else ", some beside models"
    text = (
        f"{opened(scope)} were decided for by rules in code{beside} ({', '.join(rules)}). "
        "Their results compare these rules and say nothing about what a language model would do."
    )
    return heading, " ".join(filter(None, (text, about, extra)))


def forks_told(summary: Summary) -> list[str]:
    """Returns a line for each fork that lies in the run's past: of what, where, and with which changes."""
    lines = []
    # Fork number n was taken from part n, so the list is shifted by one.
    before = ["", *(part.get("name", "") for part in parts(summary))]
    for number, (round_, sha256, changes) in enumerate(summary.get("forks", ()), start=1):
        name = before[number] if number < len(before) else ""
        with_ = ", ".join(changes) or "no change"
        lines.append(f"a fork of {name or 'a run'} (journal {sha256[:12]}) at round {count(round_)}, with {with_}")
    return lines


def seed_told(summary: Summary) -> str:
    """Returns the run's seed; where a fork changed it, each with the rounds in which it held."""
    seeds: list[tuple[int, int]] = []
    for part in parts(summary):
        # Neighbouring parts with the same seed are one stretch, which ends with the later part.
        if "seed" in part and seeds and seeds[-1][0] == part["seed"]:
            seeds.pop()
        if "seed" in part:
            seeds.append((part["seed"], part["last_round"]))
    if len(seeds) < 2:
        return str(summary["seed"])
    *earlier, (last, _) = seeds
    return f"{', '.join(f'{seed} to round {count(round_)}' for seed, round_ in earlier)}, then {last}"


def _rules_named(summary: Summary) -> str:
    """Returns `scripted policies`, `baseline rules` or both, as far as the run has them."""
    # The single natures that any mind of any part has; baselines are named last.
    found = {one for part in parts(summary) for group in groups(part) for one in group.decider.ones if one.is_rule}
    return AND.join(one.plural for one in sorted(found, key=lambda one: (one == BASELINE, one.name)))


def _told_about(summary: Summary) -> dict[Nature, list[str]]:
    """Returns the natures that a reader must know more of, each with the models that are of it."""
    found: dict[Nature, dict[str, None]] = {}
    for part in parts(summary):
        # A mind of several models is none of them, so what is told of a model stands beside its own name.
        for model in (model for mind in part["minds"] for model in models_asked(part, mind)):
            if (one := nature_of_model(part, model)).about:
                found.setdefault(one, {})[model] = None
    return {nature: sorted(models) for nature, models in found.items()}


def _said(group: Group, in_full: bool) -> str:
    decider = group.decider
    if decider.is_rule:
        return f"{decider.plural}, no language models"
    if decider.has_rule:
        rules = AND.join(one.plural for one in decider.ones if one.is_rule)
        return f"{decider.plural}, of which {rules} are no language models"
    asides = [one.aside for one in decider.ones if one.aside] if in_full else []
    return ", ".join([decider.plural, *asides])


def _named(summary: Summary, group: Group) -> str:
    """The minds of a group, a council called one, since its name is no model's."""
    councils = summary.get("councils", {})
    return ", ".join(f"the council {mind}" if mind in councils else mind for mind in group.minds)


def _rounds(stretch: Sequence[Summary]) -> str:
    first, last = stretch[0]["first_round"], stretch[-1]["last_round"]
    return f"in round {count(first)} " if first == last else f"in rounds {count(first)} to {count(last)} "


def _guests(summary: Summary) -> list[str]:
    """Returns a line on travellers whom a rule decides for away from home."""
    found = summary.get("regions") or {}
    if not found.get("travellers") or found.get("abroad") == "own":
        return []
    guests = f"{count(found['travellers'])} travellers"
    return [f"away from home, a rule ({found['abroad']}), no language model, decided for {guests}"]


def _answered(summary: Summary) -> list[str]:
    """Returns a line on turns that a rule answered in the place of the model that the mind has."""
    lines = []
    for mind, answered in summary.get("answered_by", {}).items():
        # Turns that a rule answered, by the rule's name.
        other = {
            f"turns by {model}": turns
            for model, turns in answered.items()
            if any(nature_of_model(part, model).is_rule for part in parts(summary) if model in part["natures"])
        }
        if other and not all(one.is_rule for one in deciders(summary, mind)):
            lines.append(f"of {mind}, rules in code, no language model, answered {listed(other)}")
    return lines
