"""The protocol of a scripted policy, and the loader that finds them: ours, and those that come with a form of others.

The engine knows no prompt. Who writes one brings along the rule that reads it: a file with one export POLICY.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament
from swarm.plugins import Plugins

PLUGINS = Plugins("swarm.agents.policies", "POLICY", "scripted policy")


@dataclass(frozen=True, slots=True)
class Policy:
    """The way in which scripted models answer one kind of request, which is told by its schema.

    `reply(temperament, messages, seed, schema)` returns the text of a reply, the same for the same arguments.
    `summaries` says in a sentence how each temperament decides, where a policy tells. `lie(messages)` returns what a
    compromised model says, where a policy knows.
    """

    name: str
    fits: Callable[[dict[str, Any]], bool]
    reply: Callable[[Temperament, Sequence[Message], int, dict[str, Any]], str]
    summaries: Mapping[Temperament, str]
    lie: Callable[[Sequence[Message]], str] | None = None


def all_policies() -> tuple[Policy, ...]:
    """Returns every policy at hand."""
    return tuple(PLUGINS.find(name, "models.*.engine") for name in PLUGINS.names())


def temperament_summaries() -> dict[Temperament, str]:
    """Returns how each temperament decides, in a sentence."""
    return {name: text for policy in all_policies() for name, text in policy.summaries.items()}


def reply_to(
    policies: Sequence[Policy],
    temperament: Temperament,
    messages: Sequence[Message],
    seed: int,
    schema: dict[str, Any],
    lies: bool = False,
) -> str:
    """Returns the reply to a whole chat by the policy that the schema fits; LookupError where there is none."""
    # The first that fits: schemas of forms are closed, so no two policies know the same one.
    for policy in policies:
        if policy.fits(schema):
            if lies and policy.lie is not None:
                return policy.lie(messages)
            return policy.reply(temperament, messages, seed, schema)
    if schema.get("type") == "integer":
        # A number that no temperament knows the meaning of is drawn.
        low, high = schema["minimum"], schema["maximum"]
        return str(low + seed % (high - low + 1))
    raise LookupError("no scripted policy knows how to answer by this schema")
