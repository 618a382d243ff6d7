"""A smolagents agent in a seat, with two tools. SEAT_URL, SEAT_TOKEN, SEAT_MODEL, OPENAI_BASE_URL, OPENAI_API_KEY."""

from os import environ as given

import requests
from smolagents import OpenAIModel, ToolCallingAgent, tool


def call(method: str, path: str, **body: object) -> requests.Response:
    headers = {"authorization": f"Bearer {given['SEAT_TOKEN']}"}
    return requests.request(method, given["SEAT_URL"] + path, json=body, headers=headers, timeout=60)


@tool
def observation(round: int) -> str:
    """Waits for a round and returns what you see in it.\nArgs:\n    round: The number of the round."""
    return call("GET", f"/v1/observation?round={round}").text


@tool
def decision(round: int, orders: list) -> str:
    """Sends orders.\nArgs:\n    round: The round.\n    orders: Objects with side (buy, sell), good, price, quantity."""
    return call("POST", "/v1/decision", round=round, decision_id="mine", orders=orders).text


seat, model = call("GET", "/v1/seat").json(), OpenAIModel(given["SEAT_MODEL"], given["OPENAI_BASE_URL"])
agent = ToolCallingAgent([observation, decision], model, instructions=seat["rules"], max_steps=4)
for number in range(1, seat["rounds"] + 1):
    print(agent.run(f"Play round {number}: look with observation, send one decision, then finish."))
