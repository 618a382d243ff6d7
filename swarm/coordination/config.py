"""Owns the coordination's sections of a config: fields with their bounds."""

from typing import Any, Literal

from pydantic import Field, field_validator

from swarm.schema import StrictModel, short


class RouterConfig(StrictModel):
    """The terms by which the messages of a trader's contacts are ranked and pruned before it hears them."""

    ranker: Literal["weighted", "random"] = "weighted"
    """What goes first: reliability of the sender times relevance to the receiver times novelty, or a draw of the seed,
    which is the control that a ranker must beat."""

    message_tokens: int | None = Field(default=40, ge=1, le=100_000)
    """Most tokens of messages that a trader hears in a round; null: no bound but that of its prompt."""

    novelty_rounds: int = Field(default=3, ge=0, le=50)
    """For how many rounds a trader remembers what it heard; what says nothing else is stale. 0: nothing is stale."""

    offers: bool = True
    """Whether contacts learn what a trader's orders left unfilled in the last clearing."""

    quarantine: Literal[False, True, "classifier"] = False
    """Whether a line that reads like an instruction to a model is kept from everybody. `true` is a rule on plain words
    and marks of chat templates, which what is put in other words passes. `classifier` adds learned weights of words, by
    which a line that asks to be passed on, believed or obeyed is kept back, too: about half of them, in English."""

    echoes: bool = True
    """Whether a line of gossip is delivered that says nothing but what its sender has read in the last
    `novelty_rounds`; tips that name a good and a direction, and offers, are no echoes."""

    @field_validator("quarantine", mode="before")
    @classmethod
    def _no_number(cls, value: Any) -> Any:
        # 1 would pass for True, as it is equal to it.
        if not isinstance(value, bool) and value != "classifier":
            raise ValueError(
                f"expected false, true (the rule) or classifier (the rule and weights), got {short(value)}"
            )
        return value
