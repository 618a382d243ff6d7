"""Judging over an endpoint: one token for each branch, whose likelihoods of yes and no are the score."""

import asyncio
import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest

from swarm.config_file import resolve
from swarm.llm.engines.openai.check import problems
from swarm.llm.engines.openai.scoring import log_odds
from swarm.llm.engines.protocol import CheckConditions
from swarm.llm.protocol import Message, ModelReply, ModelRequest
from swarm.llm.scores import read_scores
from swarm.runtime.play import play
from tests.endpoint.raw import Answer, asked, raw_endpoint

JUDGE = ModelRequest(
    (Message("system", "Say yes or no."), Message("user", "Is it good?")),
    {"type": "array"},
    50,
    7,
    temperature=0.0,
    branches=("pass?", "sell1 honey expect12?", "pass?", "buy2 acorns expect-8?"),
)


def judging(seen: list[dict[str, Any]], tells: bool = True) -> Answer:
    """A server that likes what is expected to bring much; without `tells` it keeps likelihoods to itself."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.loads(await asked(reader))
        seen.append(body)
        line = body["messages"][-1]["content"].rpartition("\n")[2]
        found = re.search(r"expect(-?\d+)", line)
        odds = float(found[1]) / 10 if found else 0.0
        yes = 1 / (1 + math.exp(-odds))
        # Several spellings of one word, and a token that is neither.
        likely = [("Yes", yes / 2), (" yes", yes / 2), ("No", 1 - yes), ("Maybe", 1e-9)]
        told = [{"token": token, "logprob": math.log(share)} for token, share in likely]
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": "Yes"},
            "finish_reason": "length",
        }
        if tells:
            choice["logprobs"] = {"content": [{"token": "Yes", "logprob": told[0]["logprob"], "top_logprobs": told}]}
        usage = {"prompt_tokens": 100 + len(line.split()), "completion_tokens": 1}
        usage["prompt_tokens_details"] = {"cached_tokens": 96}  # type: ignore[assignment]
        content = json.dumps({"choices": [choice], "usage": usage}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    return answer


def ask(answer: Answer, *requests: ModelRequest) -> list[ModelReply]:
    async def go() -> list[ModelReply]:
        async with raw_endpoint(answer) as (client, _):
            return await client.complete(requests, 30.0)

    return asyncio.run(go())


def test_each_branch_is_asked_once_for_one_token_and_its_likelihoods() -> None:
    seen: list[dict[str, Any]] = []
    plain = ModelRequest(JUDGE.messages, {}, 5, 1)
    *scored, written = ask(judging(seen), replace(JUDGE, more_seeds=(8,)), plain)
    assert [reply.finish_reason for reply in (*scored, written)] == ["stop", "stop", "length"]
    scores = read_scores(scored[0].text, 4)
    assert scores is not None
    assert scores.values == pytest.approx([0.0, 1.2, 0.0, -0.8], abs=0.002)
    assert scores.taken == 1
    branches = [body for body in seen if body.get("logprobs")]
    assert len(branches) == 3, "what stands twice on a menu is asked once"
    assert all(body["max_tokens"] == 1 and body["top_logprobs"] == 20 for body in branches)
    assert not any("response_format" in body or "n" in body for body in branches)
    assert all(body["messages"][-1]["content"].startswith("Is it good?\n") for body in branches)
    # The prompt counts once, and what the endpoint had in its cache as not computed.
    assert 100 < scored[0].usage.prompt < 130
    assert scored[0].usage.cached_prompt > 80
    assert scored[1].usage.shared_prompt == scored[1].usage.prompt


def test_an_endpoint_that_keeps_likelihoods_to_itself_is_told_before_a_run_and_counted_in_it() -> None:
    async def check() -> list[str]:
        async with raw_endpoint(judging([], tells=False)) as (client, _):
            conditions = CheckConditions(tokens_per_turn=1_000, here=True, requests={"raw": JUDGE}, timeout_s=30)
            return await asyncio.to_thread(problems, [client.config], conditions)

    [line] = asyncio.run(check())
    assert "logprobs" in line
    assert "form: menu" in line
    [reply] = ask(judging([], tells=False), JUDGE)
    assert reply.finish_reason == "no_scores"


@pytest.mark.parametrize(("tells", "errors"), [(True, {}), (False, {"engine_no_scores": 12})])
def test_the_wood_is_judged_over_an_endpoint(tells: bool, errors: dict[str, int]) -> None:
    async def go() -> dict[str, Any]:
        async with raw_endpoint(judging([], tells)) as (client, _):
            config = resolve(
                {
                    "population": 4,
                    "rounds": 3,
                    "seed": 5,
                    "models": [
                        {**client.config.model_dump(include={"name", "engine", "base_url", "model"}), "form": "judge"}
                    ],
                    "traders": {"minds": {"raw": 1}},
                }
            )
            played = await asyncio.to_thread(play, config)
            return dict(played.summary)

    summary = asyncio.run(go())
    assert dict(summary["decision_errors"]) == errors
    assert (summary["trades"] > 0) is tells


def test_what_is_not_told_is_as_likely_as_the_least_that_is() -> None:
    assert log_odds([(" no", [(" no", -0.1), ("x", -5.0)])]) == pytest.approx(-4.9)
    assert log_odds([("a", [("a", -0.1), ("b", -5.0)])]) is None
    assert log_odds([]) is None
    assert log_odds([("YES", [("YES", -0.5), (" No.", -1.5)])]) == pytest.approx(1.0)
