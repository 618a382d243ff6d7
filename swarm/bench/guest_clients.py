"""Plays many seats of a run over HTTP from a process of its own, so that its work does not count as the run's.

`python -m swarm.bench.guest_clients ADDRESS` takes tokens from standard input, one a line, and ends with the run.
"""

import asyncio
import sys

import aiohttp


async def play(session: aiohttp.ClientSession, token: str) -> None:
    """Plays one seat: looks, sells what can be spared, and looks for the next round."""
    headers, seen = {"authorization": f"Bearer {token}"}, 0
    while True:
        try:
            async with session.get(f"/v1/observation?round={seen + 1}", headers=headers) as answer:
                if answer.status == 410:
                    return
                if answer.status != 200:
                    continue
                found = await answer.json()
        except aiohttp.ClientError:
            # The server has ended with the run, and nobody is left to say so.
            return
        seen = found["round"]
        orders = [
            {"side": "sell", "good": own["good"], "price": own["worth"], "quantity": own["spare"]}
            for own in found["own"]["stock"]
            if own["spare"]
        ]
        body = {"round": seen, "decision_id": "one", "orders": orders[:3], "say": "fair prices"}
        async with session.post("/v1/decision", json=body, headers=headers) as answer:
            if answer.status != 200:
                raise RuntimeError(f"round {seen}: a decision got {answer.status}: {await answer.text()}")


async def main(address: str, tokens: list[str]) -> None:
    """Plays all seats at once, each over a connection of its own."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(address, connector=connector) as session:
        await asyncio.gather(*(play(session, token) for token in tokens))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.stdin.read().split()))
