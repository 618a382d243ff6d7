"""Puts what one trader did in a round, and why, into lines for the terminal."""

from collections.abc import Iterator
from textwrap import wrap

from swarm.agents.recall import Recalled
from swarm.simulation.why import Explained, Fill, Placed

INDENT = "  "
QUOTED, GOES_ON = "  | ", "  : "
"""What stands before each line of a prompt or a reply, so that nothing in it is taken for ours."""


def lines(one: Explained, width: int | None = None) -> list[str]:
    """Returns what a trader saw, said and ordered, what the market made of it, and what else there was.

    With a `width` longer lines of prompts and replies are broken, and `:` stands before what goes on.
    """
    where = f" in {one.region}" if one.region else ""
    number = f" (number {one.seat} there)" if one.region and one.seat != one.trader else ""
    return [
        f"trader {one.trader}, a {one.kind} with the mind {one.mind}, in round {one.round} of {one.rounds}"
        f"{where}{number}",
        *([f"no model was asked: {one.why_not}"] if not one.asked else []),
        *(line for number, call in enumerate(one.calls, 1) for line in _call(call, number, len(one.calls), width)),
        *_read(one),
        *_market(one),
        *_alternatives(one),
    ]


def _call(call: Recalled, number: int, calls: int, width: int | None) -> Iterator[str]:
    which = f" {number} of {calls}" if calls > 1 else ""
    asker = f", {call.asker}" if call.asker else ""
    yield ""
    yield f"PROMPT{which} to {call.model}{asker} ({call.prompt_tokens} tokens)"
    if call.missing:
        yield f"{INDENT}{call.missing}"
    else:
        yield f"{INDENT}made again from the journal; its digest is the one that was recorded"
    for index, text in enumerate(call.prompt):
        # Messages of one prompt are parted by a line of their own.
        if index:
            yield QUOTED.rstrip()
        yield from _quoted(text, width)
    yield f"REPLY{which} ({call.completion_tokens} tokens, ended by {call.finish_reason})"
    yield from _quoted(call.answer, width) if call.answer else [f"{INDENT}no text of it is kept"]


def _read(one: Explained) -> Iterator[str]:
    if not one.asked:
        return
    yield ""
    yield "READ AS"
    if one.told:
        yield f"{INDENT}{one.told}"
    if one.error:
        yield f"{INDENT}no decision ({one.error}): the trader passes"
    else:
        wished = ", ".join(f"{o.side} {o.quantity_lots} {o.good} at {o.limit_ticks}" for o in one.orders)
        yield f"{INDENT}{wished or 'no orders'}"
        yield f'{INDENT}says "{one.gossip}"' if one.gossip else f"{INDENT}says nothing"
    if one.repairs:
        yield f"{INDENT}repaired on the way: {', '.join(one.repairs)}"
    if one.faults:
        yield f"{INDENT}wrong in single replies: {', '.join(one.faults)}"


def _market(one: Explained) -> Iterator[str]:
    yield ""
    yield "THE MARKET"
    if not one.orders:
        yield f"{INDENT}had no orders of this trader"
    for order in one.orders:
        yield f"{INDENT}{_placed(order)}"
    for fill in one.fills:
        yield f"{INDENT}{_filled(fill)}"
    if one.orders and not one.fills:
        yield f"{INDENT}filled nothing"
    if one.brought_ticks is not None:
        yield f"{INDENT}brought {one.brought_ticks} pebbles, by what the goods are worth to the trader"


def _placed(order: Placed) -> str:
    became = f"refused, {order.refused}" if order.refused else "taken"
    return f"{order.side} {order.quantity_lots} {order.good} at {order.limit_ticks}: {became}"


def _filled(fill: Fill) -> str:
    did, other = ("bought", "from") if fill.side == "buy" else ("sold", "to")
    return f"{did} {fill.quantity_lots} {fill.good} at {fill.price_ticks} {other} trader {fill.other}"


def _alternatives(one: Explained) -> Iterator[str]:
    yield ""
    yield "ALTERNATIVES"
    if one.alternatives:
        yield f"{INDENT}Pebbles, had it taken another action of the menu, and all others as they did."
        yield f"{INDENT}   expected  brings  orders (* what it ordered)"
    for other in one.alternatives:
        mark = "*" if other.taken else " "
        yield f"{INDENT}{other.letter}{mark} {other.expected_ticks:>8}{other.gain_ticks:>8}  {other.orders or 'pass'}"
    for line in one.missing:
        yield f"{INDENT}{line}"


def _quoted(text: str, width: int | None) -> Iterator[str]:
    for line in text.split("\n"):
        # Broken at spaces, of which none is lost: all pieces together are the line.
        room = max((width or 0) - len(QUOTED), 20)
        pieces = wrap(line, room, drop_whitespace=False, replace_whitespace=False) if width else [line]
        for number, piece in enumerate(pieces or [""]):
            yield (f"{GOES_ON if number else QUOTED}{piece}").rstrip()
