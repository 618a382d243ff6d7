"""A client of version 1 of the MCP SDK in a seat: it sells what it can spare. SEAT_URL and SEAT_TOKEN say where."""

import asyncio
import json
import os

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

HEADERS = {"authorization": f"Bearer {os.environ['SEAT_TOKEN']}"}


async def main() -> None:
    async with streamablehttp_client(f"{os.environ['SEAT_URL']}/mcp", HEADERS) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()

            async def call(name: str, **arguments: object) -> dict:
                return json.loads((await session.call_tool(name, arguments)).content[0].text)

            rounds = (await call("seat"))["rounds"]
            for number in range(1, rounds + 1):
                while "own" not in (seen := await call("observation", round=number)):
                    pass  # nothing new for 20 seconds
                stock = [s for s in seen["own"]["stock"] if s["spare"]]
                orders = [dict(side="sell", good=s["good"], price=s["worth"], quantity=s["spare"]) for s in stock[:3]]
                print(await call("decision", round=number, decision_id="mine", orders=orders))


asyncio.run(main())
