"""Reads off a schema which shape of reply it asks for: an order's bounds, and whether it is a call of a tool."""

from typing import Any


def is_call(schema: dict[str, Any]) -> bool:
    """Tells whether a reply by this schema is a call of a tool."""
    properties: dict[str, Any] = schema.get("properties", {})
    return {"name", "arguments"} <= properties.keys()


def order_bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the bounds of an order's keys by the schema of a decision or a call, wide ones where it has none."""
    properties: dict[str, Any] = schema["properties"]
    if "orders" in properties:
        bounds: dict[str, Any] = properties["orders"]["items"]["properties"]
        return bounds
    for arguments in properties.get("arguments", {}).get("anyOf", ()):
        if "side" in arguments["properties"]:
            return dict(arguments["properties"])
    return {"good": {"enum": ["acorns"]}, "price": {"maximum": 1_000}, "quantity": {"maximum": 1_000}}
