"""What an agent from outside is shown in a round, what it may send, and how that is read. Pure; it knows no network.

A guest sees the prompt that a model would see in the form `orders`, and the same figures as plain values. What it sends
is kept as the text of its turn, from which its decision is read in the run as in a replay.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swarm.agents.decision import Decision, DecisionError, Reading, Rules, check_decision, meaning
from swarm.agents.decisions import Decisions, decisions_of, read_single
from swarm.agents.form import MalformedReplyError, json_decoder
from swarm.agents.forms.orders import FORM
from swarm.agents.mind import Seats
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns
from swarm.coordination.standing import default_stand
from swarm.llm.marks import unmarked

Seat = tuple[str, int]
"""A guest's name, and which of its seats."""

MAX_BODY_BYTES = 8_192
"""Longest body of a decision."""

MAX_ID_CHARS = 64
"""Longest `decision_id`, in characters."""

TOO_DEEP = "expected a JSON object that is not nested so deep"

_OWN_KEYS = ("orders", "say", "stand", "wake")
"""What of a body is the decision; the others are its address."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a guest has sent: its decision as canonical JSON, under an id of its own choice."""

    round: int
    decision_id: str
    text: str


def read_body(body: bytes) -> tuple[Sent, int | None]:
    """Returns what a body holds and the seat that it names, if it does; ValueError says what is wrong with it."""
    try:
        data = json_decoder.decode(body.decode("utf-8"))
    except MalformedReplyError as error:
        raise ValueError(f"expected JSON, got one with a {error.fault.replace('_', ' ')}") from None
    except UnicodeDecodeError:
        raise ValueError("expected JSON in UTF-8, got bytes that are none") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON: {error.msg.lower()} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError:
        # Python reads no number of thousands of digits.
        raise ValueError("expected JSON, got one with a number of too many digits") from None
    if not isinstance(data, dict):
        raise ValueError("expected a JSON object with round, decision_id, orders and say")
    if unknown := sorted(data.keys() - {"round", "decision_id", "seat", *_OWN_KEYS}):
        raise ValueError(f"{unknown[0][:40]!r} is no key of a decision; known: round, decision_id, seat, orders, say")
    round_, key, seat = data.get("round"), data.get("decision_id"), data.get("seat")
    # A bool is an int in Python, and no number of a round.
    if type(round_) is not int or not 0 < round_ < 2**31:
        raise ValueError("round: expected the number of a round")
    if not isinstance(key, str) or not 0 < len(key) <= MAX_ID_CHARS or not key.isprintable():
        raise ValueError(f"decision_id: expected a text of 1 to {MAX_ID_CHARS} printable characters")
    if seat is not None and type(seat) is not int:
        raise ValueError("seat: expected the number of one of your seats")
    own = {name: data[name] for name in _OWN_KEYS if name in data}
    try:
        return Sent(round_, key, json.dumps(own, sort_keys=True, separators=(",", ":"))), seat
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def read_sent(text: str, rules: Rules, makes: int, most_chars: int) -> Reading[Decision]:
    """Returns the decision that a guest has sent, or what is wrong with it; never raises."""
    try:
        data = json_decoder.decode(text)
    except (ValueError, RecursionError):
        return Reading(DecisionError.NOT_JSON)
    if not isinstance(data, dict) or "orders" not in data or data.keys() - set(_OWN_KEYS):
        return Reading(DecisionError.WRONG_SHAPE)
    # What a guest says is what a model calls gossip; nothing else is renamed, and nothing is repaired.
    say = data.pop("say", "")
    if isinstance(say, str) and len(say) > most_chars:
        return Reading(DecisionError.TOO_LONG)
    return Reading(check_decision({**data, "gossip": say}, rules, makes))


def decisions_sent(plan: ShardPlan, turns: Turns, seats: Seats) -> Decisions:
    """Returns what turns mean whose texts are decisions that were sent, and which took no tokens of the run."""
    makes, rows = seats.seen.private.makes, seats.rows.tolist()

    def read(i: int, text: str, cut: bool) -> Reading[Decision]:
        return read_sent(text, plan.rules, int(makes[rows[i]]), plan.traders.max_gossip_chars)

    stand = default_stand(plan.traders.standing)
    return decisions_of(turns, read_single(turns, 0, read), plan.rules.goods, plan.traders.max_gossip_chars, stand)


def schema_of(rules: Rules, most_chars: int) -> dict[str, Any]:
    """Returns the JSON schema of the body of a decision."""
    model = rules.schema()["properties"]
    standing = {name: model[name] for name in ("stand", "wake") if name in model}
    return {
        "type": "object",
        "properties": {
            "round": {"type": "integer", "minimum": 1},
            "decision_id": {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS},
            "seat": {"type": "integer", "minimum": 0},
            "orders": model["orders"],
            "say": {"type": "string", "maxLength": most_chars},
            **standing,
        },
        "required": ["round", "decision_id", "orders"],
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A round as its guests see it: who of them is asked, each with its row of `seen.private`."""

    plan: ShardPlan
    seen: Observation
    rows: Mapping[Seat, int]

    @property
    def round(self) -> int:
        """The number of the round."""
        return self.seen.public.round

    def view(self, seat: Seat) -> dict[str, Any]:
        """Returns what one seat is shown, in plain values."""
        plan, public, own, row = self.plan, self.seen.public, self.seen.private, self.rows[seat]
        # The prompt of the form `orders`, within the tokens that a turn has for both prompt and reply.
        prompt = plan.forms[FORM.name].render(self.seen, row, plan.budget.tokens_per_turn)
        market = zip(
            plan.rules.goods,
            public.reference_ticks.tolist(),
            public.change_ticks.tolist(),
            public.volume_lots.tolist(),
            public.unfilled_buy_lots.tolist(),
            public.unfilled_sell_lots.tolist(),
            strict=True,
        )
        names = ("good", "price", "change", "traded", "unmet_bids", "unmet_asks")
        return {
            "round": public.round,
            "rounds": public.rounds,
            "season": public.season,
            "news": list(public.news),
            "market": [dict(zip(names, figures, strict=True)) for figures in market],
            "own": self._own(row),
            # Lines of others are data; no model behind a guest is to take one for a turn of its chat.
            "heard": [unmarked(line) for line in own.heard[row]],
            "prompt": [{"role": m.role, "content": m.content} for m in prompt.messages] if prompt else [],
        }

    def problem(self, seat: Seat, text: str) -> tuple[DecisionError, str] | None:
        """Returns what is wrong with a decision of a seat, by name and in words; None where it can be read."""
        rules, most_chars = self.plan.rules, self.plan.traders.max_gossip_chars
        found = read_sent(text, rules, int(self.seen.private.makes[self.rows[seat]]), most_chars).outcome
        if not isinstance(found, DecisionError):
            return None
        match found:
            case DecisionError.TOO_LONG:
                return found, f"say has {most_chars} characters at most"
            case DecisionError.WRONG_SHAPE:
                standing = ", stand and wake" if rules.max_stand_rounds else ""
                keys = f"round, decision_id, seat, orders, say{standing}"
                return found, f"the keys are {keys}; each order has side (buy or sell), good, price and quantity"
            case _:
                return found, meaning(found, rules)

    def _own(self, row: int) -> dict[str, Any]:
        """Returns what a trader knows of itself; money is in whole ticks, as prices are."""
        own, goods = self.seen.private, self.plan.rules.goods
        columns = {"have": own.have[row], "bought": own.bought_lots[row], "sold": own.sold_lots[row]}
        told: dict[str, Any] = {
            "trader": int(own.trader[row]),
            "purse": int(own.cash_cents[row]) // self.plan.tick_cents,
            "facts": own.facts[row],
        }
        if (barter := own.barter) is not None:
            columns |= {"need": barter.need[row], "spare": barter.spare[row], "worth": barter.worth_ticks[row]}
            makes = int(barter.makes[row])
            told |= {"makes": goods[makes] if makes >= 0 else None, "mood": int(barter.mood[row])}
        # One record for each good, in the order of the market.
        told["stock"] = [
            {"good": good, **{name: int(column[g]) for name, column in columns.items()}} for g, good in enumerate(goods)
        ]
        return told
