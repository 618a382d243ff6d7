"""Says who decided in a run and of what past it is, in the words that stand beside its results.

What is no language model is never called one, whatever the mix of minds, desks, regions and forks. It reads the summary
alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.report.wording import count, listed, opened

Summary = Mapping[str, Any]

SCRIPTED, BASELINE, EMBEDDED = "scripted policy", "baseline rule", "tiny embedded model"
RULE_BEHIND, MODEL_BEHIND = "rule in code behind ", "model behind "
AND = " and "
"""What stands between the natures of a mind that asks several models."""

_PLURALS = {
    SCRIPTED: "scripted policies",
    BASELINE: "baseline rules",
    EMBEDDED: "tiny language models of this project's own",
}
_NO_MODEL = "no language model"


@dataclass(frozen=True, slots=True)
class Group:
    """The traders of a part of a run for whom the same kind of thing decided."""

    nature: str
    traders: int
    minds: tuple[str, ...]

    @property
    def plural(self) -> str:
        """The nature of several of them."""
        return AND.join(map(_plural, self.nature.split(AND)))


def parts(summary: Summary) -> Sequence[Summary]:
    """Returns the stretches of rounds between which a fork changed the run's config, one where there is no fork."""
    # A summary without parts is one stretch, whose facts stand at its top.
    found: Sequence[Summary] = summary.get("parts", ())
    return found or ({key: summary[key] for key in ("minds", "engines", "asks") if key in summary},)


def is_rule(nature: str) -> bool:
    """Tells whether such a mind is made of rules in code alone and so is no language model."""
    return all(map(_one_is_rule, nature.split(AND)))


def has_rule(nature: str) -> bool:
    """Tells whether some of what such a mind asks is a rule in code."""
    return any(map(_one_is_rule, nature.split(AND)))


def nature_of_model(part: Summary, model: str) -> str:
    """Returns what a model of the config is."""
    engine = part["engines"][model]
    behind = RULE_BEHIND if model in part.get("rules", ()) else MODEL_BEHIND
    return {"scripted": SCRIPTED, "embedded": EMBEDDED}.get(engine, f"{behind}{engine}")


def nature_in(part: Summary, mind: str) -> str:
    """Returns what a mind was in a part of the run: what the models that it asks are; without any, a rule."""
    # A mind with no entry of its own has the name of the one model that it asks.
    models = part.get("asks", {}).get(mind) or ([mind] if mind in part["engines"] else [])
    return AND.join(sorted({nature_of_model(part, model) for model in models})) or BASELINE


def natures(summary: Summary, mind: str) -> list[str]:
    """Returns what a mind was, in order, where a fork made something else of it."""
    return list(dict.fromkeys(nature_in(part, mind) for part in parts(summary) if mind in part["minds"]))


def nature(summary: Summary, mind: str) -> str:
    """Returns what a mind was, in the words that stand next to each of its results."""
    return ", then ".join(natures(summary, mind)) or BASELINE


def minds(summary: Summary) -> list[str]:
    """Returns the minds of all parts of the run."""
    return list(dict.fromkeys(mind for part in parts(summary) for mind in part["minds"]))


def minds_without_model(summary: Summary) -> list[str]:
    """Returns the minds that were no language model, in the whole run or a part of it."""
    return [mind for mind in minds(summary) if any(map(has_rule, natures(summary, mind)))]


def groups(part: Summary) -> list[Group]:
    """Returns who decided in a part of a run, rules before models."""
    found: dict[str, list[str]] = {}
    for mind in part["minds"]:
        found.setdefault(nature_in(part, mind), []).append(mind)
    # Rules come first, since a reader must not take them for models; what is unknown here lies between or behind.
    ranks = {SCRIPTED: 0, BASELINE: 1, EMBEDDED: 3}
    order = sorted(found, key=lambda name: (ranks.get(name, 2 if has_rule(name) else 4), name))
    return [Group(name, sum(part["minds"][m] for m in found[name]), tuple(found[name])) for name in order]


def model_tag(summary: Summary) -> str:
    """Returns what stands next to every result by mind; empty where all minds are models."""
    rules = minds_without_model(summary)
    if not rules:
        return ""
    alone = [mind for mind in rules if all(map(is_rule, natures(summary, mind)))]
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
    tiny = [mind for mind in minds(summary) if any(EMBEDDED in nature.split(AND) for nature in natures(summary, mind))]
    about_tiny = (
        f"Each of {', '.join(tiny)} has about a million parameters, was schooled to choose as a rule does, and "
        "picks a letter from a menu of lawful actions. What they do says little about what larger models would do."
        if tiny
        else ""
    )
    # What holds for some of the decisions alone: guests, and turns that a cheaper rule answered.
    extra = " ".join(f"{opened(line)}." for line in (*_guests(summary), *_answered(summary)))
    if not rules:
        heading = "Tiny language models of this project's own" if tiny else ""
        heading = heading or ("Some decisions are no language model's" if extra else "")
        return heading, " ".join(filter(None, (about_tiny, extra)))
    # A fork changed who decides, so each part is told by itself.
    if len(parts(summary)) > 1:
        heading = f"{opened(_rules_named(summary))}, {_NO_MODEL}, for some of the rounds or traders"
        if all(is_rule(group.nature) for part in parts(summary) for group in groups(part)):
            heading = f"{opened(_rules_named(summary))}, {_NO_MODEL}"
        who = "".join(f"{opened(line)}. " for line in told(summary, in_full=False))
        nothing = "Results of rules in code say nothing about what a language model would do."
        return heading, f"{who}{nothing} {about_tiny}".rstrip()
    # Without a fork the traders can be counted, and the notice says for how many of them it holds.
    traders = sum(parts(summary)[0]["minds"][mind] for mind in rules)
    everyone = traders == summary["traders"]
    scope = f"all {count(traders)} traders" if everyone else f"{count(traders)} of {count(summary['traders'])} traders"
    heading = f"{opened(_rules_named(summary))}, {_NO_MODEL}" + ("" if everyone else f", for {scope}")
    beside = (
        "" if all(is_rule(nature) for mind in rules for nature in natures(summary, mind)) else ", some beside models"
    )
    text = (
        f"{opened(scope)} were decided for by rules in code{beside} ({', '.join(rules)}). "
        "Their results compare these rules and say nothing about what a language model would do."
    )
    return heading, " ".join(filter(None, (text, about_tiny, extra)))


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
    # The single natures that any mind of any part has.
    pieces = {one for part in parts(summary) for group in groups(part) for one in group.nature.split(AND)}
    found = {one: _plural(one) for one in pieces if _one_is_rule(one)}
    return " and ".join(found[name] for name in sorted(found, key=lambda n: (n != SCRIPTED, n)))


def _one_is_rule(nature: str) -> bool:
    return nature in (SCRIPTED, BASELINE) or nature.startswith(RULE_BEHIND)


def _plural(nature: str) -> str:
    for one, many in ((RULE_BEHIND, "rules in code behind "), (MODEL_BEHIND, "models behind ")):
        if nature.startswith(one):
            return many + nature.removeprefix(one)
    return _PLURALS[nature]


def _said(group: Group, in_full: bool) -> str:
    if is_rule(group.nature):
        return f"{group.plural}, no language models"
    if has_rule(group.nature):
        rules = AND.join(_plural(one) for one in group.nature.split(AND) if _one_is_rule(one))
        return f"{group.plural}, of which {rules} are no language models"
    return group.plural + (", schooled to choose as rules do" if in_full and group.nature == EMBEDDED else "")


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
            if any(is_rule(nature_of_model(part, model)) for part in parts(summary) if model in part["engines"])
        }
        if other and not all(map(is_rule, natures(summary, mind))):
            lines.append(f"of {mind}, rules in code, no language model, answered {listed(other)}")
    return lines
