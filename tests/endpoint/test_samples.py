"""Several samples of one prompt from an endpoint: by `n` where it knows it, one by one where it does not."""

import asyncio

import pytest

from swarm.llm.engines.openai.client import OpenAIClient
from swarm.llm.protocol import ModelReply, ModelRequest
from tests.endpoint.fake_endpoint import Endpoint, Serve
from tests.endpoint.fault_table import request

SEEDS = tuple(range(11, 20))


def grouped(number: int) -> ModelRequest:
    one = request(number)
    return ModelRequest(one.messages, one.schema, one.max_tokens, 10, more_seeds=SEEDS)


def ask(
    endpoint: Endpoint, requests: list[ModelRequest], stream: bool = False
) -> tuple[OpenAIClient, list[ModelReply]]:
    client = OpenAIClient(endpoint.model(stream=stream, retries=0))
    return client, asyncio.run(client.complete(requests, 20.0))


def test_one_request_brings_all_samples_and_its_prompt_counts_once(serve: Serve) -> None:
    endpoint = serve()
    client, replies = ask(endpoint, [grouped(1), request(2)])
    _, alone = ask(endpoint, [*grouped(1).singly(), request(2)])
    assert client.counts["attempts"] == 2
    # The fake endpoint gives sample i the seed + i, as vLLM does.
    assert [r.text for r in replies] == [r.text for r in alone]
    assert len({r.text for r in replies}) > 1
    assert [r.usage.shared_prompt for r in replies] == [0, *[replies[0].usage.prompt] * 9, 0]
    assert sum(r.usage.completion for r in replies) == sum(r.usage.completion for r in alone)


@pytest.mark.parametrize("stream", [False, True])
def test_an_endpoint_that_gives_one_choice_is_asked_singly(serve: Serve, stream: bool) -> None:
    endpoint = serve(several=False)
    client, replies = ask(endpoint, [grouped(1), grouped(2)], stream)
    _, alone = ask(endpoint, [*grouped(1).singly(), *grouped(2).singly()])
    assert [r.text for r in replies] == [r.text for r in alone]
    assert client.counts["attempts"] == 20
    again = asyncio.run(client.complete([grouped(3)], 20.0))
    assert client.counts["attempts"] == 30, "it is not asked for several again"
    assert not any(r.usage.shared_prompt for r in again)


def test_a_failure_is_every_samples(serve: Serve) -> None:
    client, replies = ask(serve(faults="error_500=1"), [grouped(1)])
    assert [r.finish_reason for r in replies] == ["server_error"] * 10
    assert client.counts["attempts"] == 1


def test_an_endpoint_that_refuses_several_is_asked_singly(serve: Serve) -> None:
    client, replies = ask(serve(faults="html=1"), [grouped(1)])
    assert [r.finish_reason for r in replies] == ["protocol"] * 10
    assert client.counts["attempts"] == 11
