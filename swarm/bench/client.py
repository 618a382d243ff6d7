"""The cost of one call of an OpenAI-compatible endpoint to its caller, against a server that answers at once."""

import asyncio
import json
from time import perf_counter, process_time

from swarm.agents.decision import Rules
from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.instant import served
from swarm.llm.engines.openai.client import OpenAIClient
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.protocol import Message, ModelRequest
from swarm.preflight import Narrator

CALLS = 1_000
CONCURRENCY = (1, 64)
AIM_CPU_MS = 1.0

_REPLY = {
    "thought": "sell spare, eat",
    "orders": [{"side": "sell", "good": "acorns", "price": 20, "quantity": 5}],
    "gossip": "acorns will rise",
}


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of 1,000 calls with the prompt of a turn, five times, one by one and 64 at once."""
    # Prompts differ in their first line alone, as those of a round do.
    rules = Rules(("acorns", "berries", "mushrooms", "honey", "firewood"), 3, 1_000, 100)
    system = Message("system", "You live in the Wood and trade for pebbles. " * 30)
    schema = rules.schema()
    requests = [
        ModelRequest((system, Message("user", f"ROUND {i} of {CALLS}\n" + "acorns 20 +1 5 0 0\n" * 40)), schema, 200, i)
        for i in range(CALLS)
    ]
    # One call at a time shows a call's own cost, 64 at once what is shared between calls.
    results = []
    with served({"": json.dumps(_REPLY)}) as (url, _):
        for concurrency in CONCURRENCY:
            narrator.phase(f"{CALLS} calls, {concurrency} at once")
            cpu_ms, per_s = _calls(url, concurrency, requests)
            results += [
                median_of(
                    f"client_cpu_ms_per_call_at_{concurrency}",
                    cpu_ms,
                    "ms",
                    "lower",
                    aim=AIM_CPU_MS,
                    bound="building and parsing JSON and HTTP in one thread of Python",
                ),
                median_of(
                    f"client_calls_per_s_at_{concurrency}",
                    per_s,
                    "1/s",
                    "higher",
                    bound="the server's own time" if concurrency > 1 else "a round trip over loopback",
                ),
            ]
    return results


def _calls(url: str, concurrency: int, requests: list[ModelRequest]) -> tuple[list[float], list[float]]:
    """Returns, for each run, CPU milliseconds of this process per call, and calls per second."""
    entry = {"name": "bench", "engine": "openai", "base_url": url, "model": "value", "max_concurrency": concurrency}
    client = OpenAIClient(OpenAIModel.model_validate(entry))
    cpu_ms: list[float] = []
    per_s: list[float] = []
    with asyncio.Runner() as runner:
        runner.run(client.open())
        # Connections are open and code is warm before anything is timed.
        runner.run(client.complete(requests[:100], 60.0))
        for _ in range(RUNS):
            wall, cpu = perf_counter(), process_time()
            replies = runner.run(client.complete(requests, 60.0))
            cpu_ms.append((process_time() - cpu) / len(requests) * 1_000)
            per_s.append(len(requests) / (perf_counter() - wall))
            if any(reply.failed for reply in replies):
                raise RuntimeError("the benchmark's own server failed")
        runner.run(client.close())
    return cpu_ms, per_s
