"""How tests read turns of one reply each without a mind."""

from swarm.agents.decision import Rules, read_reply
from swarm.agents.decisions import Decisions, decisions_of, read_single
from swarm.agents.observation import Int64
from swarm.agents.turns import Turns


def read_turns(turns: Turns, makes: Int64, rules: Rules, tokens_per_turn: int, max_gossip_chars: int) -> Decisions:
    """Returns what the replies mean in the form `orders`."""
    readings = read_single(turns, tokens_per_turn, lambda i, text, cut: read_reply(text, cut, rules, int(makes[i])))
    return decisions_of(turns, readings, rules.goods, max_gossip_chars)
