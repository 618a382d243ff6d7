"""The trace of a desk's turn: every reply as it came, what each tool returned, and the decision that came of it.

It is the text of the turn, so the journal keeps it like any reply, and a replay reads the decision from it anew.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from swarm.agents.decision import Decision, DecisionError, Reading, Rules, check_decision
from swarm.agents.form import Repair


@dataclass(frozen=True, slots=True)
class DeskStep:
    """One call of the model: its raw reply, the tool that this called and what the tool returned.

    Where the reply calls no tool, `tool` is empty. `fault` is a `DecisionError`'s value, or empty.
    """

    reply: str
    prompt_tokens: int
    completion_tokens: int
    tool: str = ""
    result: str = ""
    fault: str = ""
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole turn; `ended` is the error that it ended with, or empty, and then `decision` is what was handed in."""

    steps: tuple[DeskStep, ...]
    ended: str = ""
    decision: dict[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        """Returns the trace as JSON."""
        return json.dumps({"steps": [asdict(s) for s in self.steps], "ended": self.ended, "decision": self.decision})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Returns what `to_text` wrote; ValueError for any other text."""
        try:
            data = json.loads(text)
            steps = tuple(DeskStep(**{**step, "repairs": tuple(step["repairs"])}) for step in data["steps"])
            return cls(steps, data["ended"], data["decision"])
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"this is no trace of a desk ({type(error).__name__})") from error


def read_trace(text: str, rules: Rules, makes: int) -> Reading[Decision]:
    """Returns what a desk's turn comes to; its decision is checked like that of a single reply."""
    try:
        trace = Trace.from_text(text)
        # Words that no version of ours writes raise ValueError here, and the turn is lost as a whole.
        faults = tuple(DecisionError(s.fault) for s in trace.steps if s.fault)
        repairs = tuple(Repair(kind) for s in trace.steps for kind in s.repairs)
        outcome = DecisionError(trace.ended) if trace.ended else check_decision(trace.decision, rules, makes)
    except ValueError:
        return Reading(DecisionError.WRONG_SHAPE)
    return Reading(outcome, repairs, len(trace.steps), faults)
