"""Puts the end of a run into a few lines for the terminal; it reads the summary alone."""

from collections.abc import Mapping
from typing import Any

from swarm.report.deciders import forks_told, told
from swarm.report.wording import errors_of_decisions

Summary = Mapping[str, Any]


def lines(summary: Summary) -> list[str]:
    """Returns what the run came to, line by line, who decided in it last."""
    return [
        _totals(summary),
        *_desks(summary),
        *_councils(summary),
        *_margin(summary),
        *_staffing(summary),
        *_budget(summary),
        *_late(summary),
        *_regions(summary),
        *(f"this run is {line}" for line in forks_told(summary)),
        *told(summary),
    ]


def _totals(summary: Summary) -> str:
    tokens, seconds = summary["tokens"], summary["seconds_per_round"]
    per_turn = tokens["per_turn"]
    # A turn of several calls has a bound of its own, so it is told apart from those that the budget of a turn bounds.
    several = tokens.get("per_turn_of_several_calls")
    told = [f"{per_turn['mean']:.0f} a turn, at most {per_turn['max']} of {per_turn['budget']}"]
    if several:
        joint = f"{several['mean']:.0f} a turn of several calls, at most {several['max']}"
        told = [*(told if per_turn["max"] else []), joint]
    errors = sum(errors_of_decisions(summary).values())
    pace = "rounds not timed"
    if seconds["p50"] is not None:
        pace = f"{seconds['p50']:.3f} s a round (p95 {seconds['p95']:.3f})"
    unexplained = sum(abs(asset["unexplained"]) for asset in summary["conservation"].values())
    # What a scenario tells of its rounds stands in the place of trades, of which it has none.
    figures = [f"{name} {figure}" for name, figure in summary.get("figures", {}).items()]
    came = ", ".join(figures or [f"{summary['trades']:,} trades"])
    return (
        f"{summary['rounds']} rounds, {summary['traders']} traders, {came}, "
        f"{tokens['prompt'] + tokens['completion']:,} tokens ({'; '.join(told)}), {errors} decision errors, "
        f"{pace}, "
        f"{'cash and goods conserved' if not unexplained else f'{unexplained} UNEXPLAINED'}"
    )


def _desks(summary: Summary) -> list[str]:
    desks = summary["desks"].values()
    if not desks:
        return []
    turns = sum(desk["turns"] for desk in desks)
    # The summary has means per turn of each desk; weighted by turns they become totals.
    steps = sum(desk["turns"] * desk["steps"]["mean"] for desk in desks)
    spent = sum(desk["turns"] * desk["tokens"]["mean"] for desk in desks)
    return [
        f"of these at desks: {turns} turns of {steps / max(turns, 1):.1f} steps and {spent / max(turns, 1):.0f} "
        "tokens, each desk within a budget of its own"
    ]


def _councils(summary: Summary) -> list[str]:
    """A line for each council: who sits in it, how often it met, and whether it was right."""
    lines = []
    for name, of in summary.get("councils", {}).items():
        judged = f"; right in {of['accuracy']:.0%} of {of['judged']:,} judged turns" if of["judged"] else ""
        lines.append(
            f"{name} is a council of {len(of['members'])} ({', '.join(of['members'])}): of {of.get('turns', 0):,} "
            f"turns it met in {of.get('met', 0):,}, of one mind in {of.get('unanimous', 0):,}{judged}"
        )
    return lines


def _margin(summary: Summary) -> list[str]:
    if not (margin := summary.get("margin")):
        return []
    return [
        f"loans: {margin['called']:,} traders called, {margin['liquidated']:,} liquidated, {margin['defaults']:,} "
        f"defaults, {margin['interest_cents']:,} cents of interest"
    ]


def _staffing(summary: Summary) -> list[str]:
    found = summary["staffing"]
    if not found["due"]:
        return []
    everything = found["asked"] + found["asleep"] + found["held_back"]
    return [
        f"models were asked for {found['asked']:,} of {everything:,} turns: {found['asleep']:,} had nothing to decide, "
        f"{found['held_back']:,} were held back; {found['standing_orders']:,} standing orders"
    ]


def _budget(summary: Summary) -> list[str]:
    budget, said = summary["budget"], []
    levels = ", ".join(f"{rounds} at {name.replace('_', ' ')}" for name, rounds in budget["rounds_at_level"].items())
    for limit, spent in (("run_tokens", "spent_tokens"), ("run_usd", "spent_usd")):
        if budget[limit]:
            said.append(f"budget.{limit}: {budget[spent]:,} of {budget[limit]:,} spent; rounds: {levels}")
    return said


def _late(summary: Summary) -> list[str]:
    late = summary["late_turns_by_mind"]
    return [f"late turns: {', '.join(f'{n:,} of {mind}' for mind, n in late.items())}"] if late else []


def _regions(summary: Summary) -> list[str]:
    regions = summary.get("regions")
    if not regions:
        return []
    # Only the first and the last round are said: whether prices have drawn together.
    by_round = regions["price_dispersion_permille"]["by_round"]
    return [
        f"{len(regions['names'])} regions and {regions['travellers']} travellers, who carried "
        f"{sum(regions['carried_lots'].values()):,} lots; dispersion of prices over regions "
        f"{' to '.join(str(permille) for permille in (*by_round[:1], *by_round[-1:])) or 'none'} permille"
    ]
