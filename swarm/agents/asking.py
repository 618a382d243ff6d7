"""Asks one model once for each of some seats, prompts that are alike as one request.

What an answer means, this module does not know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from swarm.agents.forms.protocol import Branches, Form
from swarm.agents.mind import Seats
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.prompt import Prompt
from swarm.agents.prompt_digest import PromptDigest
from swarm.agents.turns import Call
from swarm.llm.asking import asked_of
from swarm.llm.protocol import ModelClient, ModelReply, ModelRequest
from swarm.llm.tokens import ESTIMATED, TokenSize

_Said = tuple[str, ...]
"""What a prompt says behind the rules, and the branches behind it."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The answers by seat: the reply, None where the prompt fitted no budget; its digest; lines of gossip left out."""

    replies: list[ModelReply | None]
    digests: list[int]
    pruned_messages: Int64

    def calls(self, model: str, seat: int) -> list[Call]:
        """Returns the call that was made for a seat, as a list; none where its prompt fitted no budget."""
        reply = self.replies[seat]
        return [] if reply is None else [Call(model, self.digests[seat], reply)]


async def ask_model(
    plan: ShardPlan,
    model: str,
    form: Form[Any],
    seats: Seats,
    client: ModelClient,
    seeds: Sequence[int],
    deadline_s: float,
    margin: bool = False,
) -> Asked:
    """Returns what a model of the plan answers to each seat's prompt, within a turn's tokens."""
    reply = plan.completion_tokens[model]
    # The reply's part of the turn's tokens is set aside, and the prompt may have the rest.
    budget = (plan.budget.tokens_per_turn - reply, reply)
    return await ask(
        form, seats, client, seeds, budget, deadline_s, seats.seen.public.sizes.get(model, ESTIMATED), margin
    )


async def ask(
    form: Form[Any],
    seats: Seats,
    client: ModelClient,
    seeds: Sequence[int],
    budget: tuple[int, int],
    deadline_s: float,
    size: TokenSize = ESTIMATED,
    margin: bool = False,
) -> Asked:
    """Returns what a model answers to each seat's prompt.

    `budget` is in tokens, of the prompt and of the reply, and `size` is what the model's engine makes of prompts. With
    `margin` replies are to say how sure they are.
    """
    prompt_tokens, reply_tokens = budget
    seen, heard = seats.seen, seats.seen.private.heard
    digest = PromptDigest(form.system(), form.shared(seen.public))
    branches = branches_of(form)
    # Seats with the same prompt are one request, with a sample for each.
    alike: dict[_Said, list[int]] = {}
    requests: dict[_Said, ModelRequest] = {}
    of_row: dict[int, _Said] = {}
    replies: list[ModelReply | None] = [None] * len(seats)
    digests = [0] * len(seats)
    pruned = np.zeros(len(seats), dtype=np.int64)
    for i, row in enumerate(seats.rows.tolist()):
        # A seat that is there several times asks for as many samples, and its prompt is made once.
        if (before := of_row.get(row)) is not None:
            digests[i], pruned[i] = digests[alike[before][0]], pruned[alike[before][0]]
            alike[before].append(i)
            continue
        # A prompt that is too long even without gossip is never sent: its trader has no reply in this round.
        rendered = fitted(form, seen, row, prompt_tokens, size)
        if rendered is None:
            pruned[i] = len(heard[row])
            continue
        pruned[i] = rendered.pruned_messages
        # The rules are the same for all, and what may be answered follows from the text.
        behind = branches(seen, row)
        of_row[row] = said = (rendered.messages[-1].content, *behind)
        # Another seat has asked the same: this one is another sample of the same request, drawn with its own seed.
        if said in requests:
            digests[i] = digests[alike[said][0]]
            alike[said].append(i)
            continue
        digests[i], alike[said], schema = digest.of("\0".join(said)), [i], form.schema(seen, row)
        requests[said] = ModelRequest(rendered.messages, schema, reply_tokens, seeds[i], branches=behind, margin=margin)
    if requests:
        # The first seat's seed is the request's own; those of the other seats follow in the same order.
        asked = [
            replace(r, more_seeds=tuple(seeds[i] for i in alike[said][1:])) if len(alike[said]) > 1 else r
            for said, r in requests.items()
        ]
        answered = await asked_of(client, asked, deadline_s)
        # Replies come in the order of the requests, one for each sample.
        for i, reply in zip(chain.from_iterable(alike.values()), answered, strict=True):
            replies[i] = reply
    return Asked(replies, digests, pruned)


def branches_of(form: Form[Any]) -> Callable[[Observation, int], tuple[str, ...]]:
    """Returns what says which texts are scored behind a prompt of this form; none where it asks for an answer."""
    return form.branches if isinstance(form, Branches) else lambda seen, row: ()


def fitted(form: Form[Any], seen: Observation, row: int, budget: int, size: TokenSize) -> Prompt | None:
    """Returns a prompt of at most `budget` tokens by the engine's count; None where none without gossip is so short."""
    rendered = form.render(seen, row, budget)
    if size.as_estimated:
        return rendered
    # Each time at least one line of gossip less, until what is left fits or nothing does.
    while rendered is not None and size.of(rendered.tokens, rendered.further_digits) > budget:
        rendered = form.render(seen, row, rendered.tokens - 1)
    return rendered
