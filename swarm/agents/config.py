"""The traders' and the budget's sections of a config."""

from pydantic import Field

from swarm.schema import StrictModel


class TradersConfig(StrictModel):
    """Who decides for the traders, and how many neighbours each one hears."""

    minds: dict[str, int] = Field(default_factory=dict)
    """Weights by mind: a model's name, or a baseline (`zi_c`, `zip`, `truthful`). Empty: all models alike."""

    hears: int = Field(default=3, ge=0, le=50)
    """How many other traders' gossip each trader hears, drawn once from the seed."""

    max_gossip_chars: int = Field(default=80, ge=0, le=400)
    """Longest line of gossip, in characters; a longer one is cut and counted."""


class BudgetConfig(StrictModel):
    """What one turn of one trader may cost."""

    tokens_per_turn: int = Field(default=1_000, ge=100, le=100_000)
    """Most tokens of prompt and reply together."""

    round_deadline_s: float = Field(default=30.0, gt=0.0, le=3_600.0)
    """Seconds after which a round closes without the traders who have not decided."""
