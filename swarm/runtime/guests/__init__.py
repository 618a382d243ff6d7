"""Seats for agents from outside: who may take them, how they are asked over HTTP and MCP, and what they have sent."""
