"""An agent of the OpenAI Agents SDK in a seat, over MCP. It takes the same variables as smolagents_http.py."""

import asyncio
import json
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI

set_tracing_disabled(True)
HEADERS = {"authorization": f"Bearer {os.environ['SEAT_TOKEN']}"}


async def main() -> None:
    params = {"url": f"{os.environ['SEAT_URL']}/mcp", "headers": HEADERS, "timeout": 60}
    async with MCPServerStreamableHttp(params, cache_tools_list=True, client_session_timeout_seconds=60) as server:
        seat = json.loads((await server.call_tool("seat", {})).content[0].text)
        model = OpenAIChatCompletionsModel(os.environ["SEAT_MODEL"], AsyncOpenAI())
        agent = Agent("trader", instructions=seat["rules"], mcp_servers=[server], model=model)
        for number in range(1, seat["rounds"] + 1):
            task = f"Play round {number}: look with observation, send one decision, then say that you are done."
            print((await Runner.run(agent, task, max_turns=6)).final_output)


asyncio.run(main())
