"""The guests' calls as four tools of the Model Context Protocol: a thin skin over `api.py`, which decides everything.

It needs the package `mcp`, which the extra `guests` brings.
"""

import json
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette

from swarm.agents.guest import MAX_BODY_BYTES
from swarm.runtime.guests.api import MOST_WAIT_S, GuestApi
from swarm.runtime.guests.door import Answer
from swarm.runtime.guests.http import GUEST

INSTRUCTIONS = (
    "You trade in a market simulation. Read the rules with `seat`. Then, round by round: wait for `observation`, send "
    "one `decision` for its round under an id of your own, and see in `fills` what came of it."
)


def application(api: GuestApi) -> Starlette:
    """Returns the app that speaks MCP at /mcp over streamable HTTP, without sessions: each call brings its token."""
    server = MCPServer("thousand-token-wood", instructions=INSTRUCTIONS, log_level="ERROR", subscriptions=False)

    @server.tool(name="seat")
    async def seat(context: Context, seat: int | None = None) -> dict[str, Any]:
        """The rules, the schema of a decision, and the limits of your seat."""
        return _told(await api.seat(_guest(context), seat))

    @server.tool(name="observation")
    async def observation(context: Context, round: int = 0, seat: int | None = None) -> dict[str, Any]:
        """Waits for the first round from `round` on in which you are asked; `{"again": true}` says to call again."""
        return _told(await api.observation(_guest(context), seat, max(round, 0), MOST_WAIT_S))

    @server.tool(name="decision")
    async def decision(
        context: Context,
        round: int,
        decision_id: str,
        orders: list[dict[str, Any]],
        say: str = "",
        seat: int | None = None,
    ) -> dict[str, Any]:
        """Sends your orders of a round, each with side, good, price and quantity, and a line to say to others."""
        body = {"round": round, "decision_id": decision_id, "orders": orders, "say": say, "seat": seat}
        return _told(await api.decision(_guest(context), json.dumps(body).encode()))

    @server.tool(name="fills")
    async def fills(context: Context, since: int = 0, seat: int | None = None) -> dict[str, Any]:
        """What came of your orders after a round: fills, refused orders, and rounds in which you were late."""
        return _told(await api.fills(_guest(context), seat, since))

    return server.streamable_http_app(
        streamable_http_path="/mcp",
        json_response=True,
        stateless_http=True,
        # The envelope of a call is small beside what it carries.
        max_request_body_size=2 * MAX_BODY_BYTES,
        # Hosts are looked at before anything comes here.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )


def _guest(context: Context) -> str:
    request = context.request_context.request
    if request is None:
        raise ToolError("no_token: this call did not come over HTTP")
    return str(request.scope[GUEST])


def _told(answer: Answer) -> dict[str, Any]:
    """Returns what a tool answers; a refusal is an error of the tool, with the status that HTTP has for it."""
    # MCP has no word for "nothing yet".
    if answer.status == 204:
        return {"again": True}
    if answer.status >= 400:
        raise ToolError(json.dumps({"status": answer.status, **answer.body}))
    return answer.body
