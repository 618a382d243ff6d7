"""A model behind OpenAI's protocol that is a script: it looks, sells what can be spared, and says that it is done."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Yields the JSON objects in a text, and those in the texts of these."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except ValueError:
            at += 1
            continue
        yield found
        if isinstance(found.get("text"), str):
            yield from objects(found["text"])
        at = end


def answer(messages: list[dict[str, Any]], tools: list[str]) -> dict[str, Any]:
    """Returns the next message of a conversation: a call of a tool, or a word at its end."""
    texts = [
        m["content"] if isinstance(m["content"], str) else json.dumps(m["content"]) for m in messages if m["content"]
    ]
    # Some clients send a result as a list of parts, whose text is JSON within JSON.
    texts = [" ".join(part["text"] for part in json.loads(t)) if t.startswith('[{"') else t for t in texts]
    told = [found for text in texts for found in objects(text)]
    if any(found.get("status") == "accepted" for found in told):
        return _call("final_answer", {"answer": "done"}) if "final_answer" in tools else {"content": "done"}
    rounds = [int(n) for text in texts for n in re.findall(r"Play round (\d+)", text)]
    seen = [found for found in told if "own" in found and found["round"] == rounds[-1]]
    if not seen:
        return _call("observation", {"round": rounds[-1]})
    orders = [
        {"side": "sell", "good": s["good"], "price": s["worth"], "quantity": s["spare"]}
        for s in seen[-1]["own"]["stock"]
        if s["spare"]
    ]
    body = {"round": rounds[-1], "orders": orders[:3]}
    return _call("decision", body if "final_answer" in tools else {**body, "decision_id": "mine"})


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": None, "tool_calls": [{"id": uuid4().hex, "type": "function", "function": function}]}


class Handler(BaseHTTPRequestHandler):
    """Answers each request for a completion."""

    def do_POST(self) -> None:
        """Answers one."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = answer(asked["messages"], [tool["function"]["name"] for tool in asked.get("tools", ())])
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "script",
            "choices": [choice],
            "usage": usage,
        }
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def scripted() -> Iterator[str]:
    """Serves the script while the block runs, and yields the base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
