"""Writes what an endpoint is asked: the body of a request, its headers and query, the key, and the proxy on the way.

It opens no connection. `api_key` is the one place where a key is taken from the environment.
"""

import ipaddress
import json
import os
import urllib.request
from functools import lru_cache
from typing import Any

from yarl import URL

from swarm.llm.engines.openai import scoring
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.margins import ALTERNATIVES
from swarm.llm.protocol import Message, ModelRequest, folded
from swarm.llm.strict import strict_schema

_ENCODER = json.JSONEncoder(separators=(",", ":"))


def api_key(model: OpenAIModel) -> str | None:
    """Returns the key for an endpoint: None where it needs none, empty where its variable is not set here."""
    return os.environ.get(model.api_key_env, "").strip() if model.api_key_env else None


def headers(model: OpenAIModel, key: str | None) -> dict[str, str]:
    """Returns the headers of every request."""
    # Compressing some hundred bytes costs both sides more than it saves.
    sent = {"Content-Type": "application/json", "Accept-Encoding": "identity", **model.request.headers}
    if key:
        plain = model.api_key_header.lower() != "authorization"
        sent[model.api_key_header] = key if plain else f"Bearer {key}"
    return sent


def url(model: OpenAIModel, path: str) -> URL:
    """Returns the address of a path of the API, with the query that the config adds to each."""
    url = URL(model.base_url + path)
    return url.with_query(model.request.query) if model.request.query else url


def proxy_for(target: URL) -> URL | None:
    """Returns the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name; loopback never has one.

    aiohttp's own reading of the environment would also send what it finds for a host in ~/.netrc.
    """
    host = target.host or ""
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    named = urllib.request.getproxies()
    address = named.get(target.scheme) or named.get("all")
    if not address:
        return None
    return URL(address if "://" in address else f"http://{address}")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Bodies:
    """Writes the bodies of requests; what many share is packed once."""

    def __init__(self, model: OpenAIModel) -> None:
        self.model = model
        self._omitted = tuple(_key_of(model, name) for name in model.request.omit)
        self._schema: dict[str, Any] | None = None
        self._packed_format = ""

    def of(self, request: ModelRequest) -> bytes:
        """Returns the JSON of a request."""
        model = self.model
        shown = request.messages if model.system_role else folded(request.messages)
        # A branch is one of several that are asked for alone, since an endpoint scores by what it would write.
        if request.branches:
            shown = tuple(scoring.shown(shown, request.branches[0]))
        body: dict[str, Any] = {
            "model": model.model,
            model.max_tokens_key: request.max_tokens,
            "temperature": model.temperature if request.temperature is None else request.temperature,
        }
        if request.more_seeds:
            body["n"] = request.samples
        if request.margin and "enum" in request.schema:
            body["logprobs"], body["top_logprobs"] = True, ALTERNATIVES
        if request.branches:
            body["logprobs"], body["top_logprobs"] = True, scoring.ALTERNATIVES
        if model.send_seed:
            # Some servers keep a seed in 32 bits with a sign.
            body["seed"] = request.seed & 0x7FFFFFFF
        if model.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        for key in self._omitted:
            body.pop(key, None)
        # What is long and the same for all, rules and schema, is packed once and put into the body's text.
        packed = _ENCODER.encode({**body, **model.request.extra} if model.request.extra else body)
        packed = f'{{"messages":[{",".join(map(_packed, shown))}],{packed[1:]}'
        if request.schema and model.response_format == "json_schema":
            # Behind the last key of the body, in place of its closing brace.
            packed = f'{packed[:-1]},"response_format":{self._format(request.schema)}}}'
        elif request.schema and model.response_format == "json_object":
            packed = f'{packed[:-1]},"response_format":{{"type":"json_object"}}}}'
        return packed.encode()

    def _format(self, schema: dict[str, Any]) -> str:
        """Returns the response format in JSON, packed once for all requests that share a schema."""
        if schema is not self._schema:
            named = {"name": "decision", "schema": strict_schema(schema), "strict": True}
            self._schema = schema
            self._packed_format = _ENCODER.encode({"type": "json_schema", "json_schema": named})
        return self._packed_format


def _packed(message: Message) -> str:
    """Returns the JSON of a message."""
    encode = _encoded_once if message.role == "system" else _ENCODER.encode
    return f'{{"role":"{message.role}","content":{encode(message.content)}}}'


@lru_cache(maxsize=64)
def _encoded_once(rules: str) -> str:
    """Returns the JSON of a text that many requests begin with."""
    return _ENCODER.encode(rules)


def _key_of(model: OpenAIModel, omitted: str) -> str:
    return model.max_tokens_key if omitted == "max_tokens" else omitted
