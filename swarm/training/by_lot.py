"""Answers menus by lot, which tells how much of what a model is worth is the menu's."""

from collections.abc import Sequence

from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.seeding import draw_below


class ByLot:
    """A `ModelClient` that draws one of the answers that a menu allows."""

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Draws by each request's seed."""
        texts = []
        for request in (one for several in requests for one in several.singly()):
            letters = request.schema["enum"]
            texts.append(letters[int(draw_below(request.seed, "letters by lot", len(letters)).item())])
        return [ModelReply(text, TokenUsage(0, 2), "stop", 0.0) for text in texts]
