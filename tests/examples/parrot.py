"""An engine that runs no model: it offers one lot of what a trader has, or says again what it was told to say."""

import json
from collections.abc import Sequence
from time import perf_counter
from typing import Literal

from pydantic import Field

from swarm.llm.engines.protocol import CheckConditions, Deployment, EnginePlugin, Nature
from swarm.llm.entry import ModelEntry
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.llm.tokens import count_tokens


class ParrotModel(ModelEntry):
    """The keys of an entry; every one is checked, explained and kept with the run like our own."""

    engine: Literal["parrot"]
    """What answers the prompts."""

    says: str = Field(default="polly", max_length=40)
    """What it says."""

    price: int = Field(default=20, ge=1, le=1_000)
    """What it asks for whatever it sells."""


class Parrot:
    """A `ModelClient`: one reply for each sample of each request, in their order, and never an exception."""

    def __init__(self, model: ParrotModel) -> None:
        self.model = model

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        return [self.reply(one) for request in requests for one in request.singly()]

    def reply(self, request: ModelRequest) -> ModelReply:
        started = perf_counter()
        goods = request.schema["properties"]["orders"]["items"]["properties"]["good"]["enum"]
        order = {"side": "sell", "good": goods[request.seed % len(goods)], "price": self.model.price, "quantity": 1}
        text = json.dumps({"thought": "", "orders": [order], "gossip": self.model.says})
        tokens = TokenUsage(sum(count_tokens(m.content) for m in request.messages), count_tokens(text))
        return ModelReply(text, tokens, "stop", perf_counter() - started)


def check(models: Sequence[ParrotModel], conditions: CheckConditions) -> list[str]:
    return [f"models: {m.name}: parrots do not swear; change says" for m in models if m.says == "damn"]


def deployment(model: ParrotModel) -> Deployment:
    return Deployment(environment={"PARROT": model.name})


BIRD = Nature("parrot", "parrots", is_rule=True)
ENGINE = EnginePlugin("parrot", ParrotModel, Parrot, check, deployment=deployment, nature=BIRD, stays_here=True)
