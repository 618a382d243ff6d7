"""The news of a run: lines of text that nobody's plan reads, with the rounds and regions that they concern.

A change of demand is announced in one of several wordings, drawn from the seed, with its size in figures or in words;
whether it will come true, the line does not show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.scenarios.supply_chain.network import Network
from swarm.seeding import draw_below


@dataclass(frozen=True, slots=True)
class News:
    """A line that is heard in a round; `region` is an index, or EVERYWHERE; a change it tells of comes true or not."""

    round: int
    region: int
    text: str
    permille: int | None = None
    true: bool = True


EVERYWHERE = -1

_MORE = (
    "A new ferry line opens on the {region}: stores there expect {size} more customers from round {round} on.",
    "The trade board of the {region} sees sales up by {size} from round {round} on.",
    "A festival season comes to the {region}; shops prepare to sell {size} more as of round {round}.",
    "Stores on the {region} will want {size} more goods from round {round} on, says the chamber of commerce.",
    "A rival of the stores on the {region} closes; they reckon with {size} more buyers as of round {round}.",
)
_LESS = (
    "The works on the {region} shut down: stores there expect {size} fewer customers from round {round} on.",
    "The trade board of the {region} sees sales down by {size} from round {round} on.",
    "A discount chain opens on the {region}; old stores will lose {size} of their trade as of round {round}.",
    "Stores on the {region} will want {size} less from round {round} on, says the chamber of commerce.",
    "Many families leave the {region}; its shops reckon with {size} fewer buyers as of round {round}.",
)
IN_WORDS = {
    100: "a tenth",
    200: "a fifth",
    250: "a quarter",
    300: "three tenths",
    400: "two fifths",
    500: "half",
    600: "three fifths",
    750: "three quarters",
    800: "four fifths",
}
"""What sizes are called, in 1/1000."""

NOISE = (
    "The bridge to the {region} is painted green this spring.",
    "A football club of the {region} has won again.",
    "A new mayor takes office on the {region}.",
    "It has rained on the {region} for three days.",
)
"""Lines that concern nobody's demand."""


def announcement(seed: int, number: int, region: str, permille: int, round_: int) -> str:
    """Returns the news of a change of demand, in a wording that the seed draws."""
    # Words are used where there are some for the size, else figures.
    change = permille - 1_000
    wordings = _MORE if change >= 0 else _LESS
    which = int(draw_below(seed, "wording", len(wordings), number).item())
    in_words = bool(draw_below(seed, "size in words", 2, number).item())
    percent = f"{abs(change) / 10:g} percent"
    size = IN_WORDS.get(abs(change), percent) if in_words else percent
    return wordings[which].format(region=region, size=size, round=round_)


def concerns(network: Network, news: Sequence[News]) -> npt.NDArray[np.int64]:
    """Returns [nodes]: the share of each node's demand, in 1/1000, that the lines of a round speak of; at most 1000."""
    # Lines of one round add up; more than all of its customers nobody has.
    share = np.zeros(len(network), dtype=np.float64)
    for line in news:
        share += exposure(network, line.region)
    permille: npt.NDArray[np.int64] = np.rint(np.minimum(share, 1.0) * 1_000).astype(np.int64)
    return permille


def exposure(network: Network, region: int) -> npt.NDArray[np.float64]:
    """Returns [nodes]: the share of each node's demand that comes from customers of a region in the end."""
    if region == EVERYWHERE:
        return np.ones(len(network))
    own = network.through(np.where(network.region == region, network.demand_millis / 1_000, 0.0))
    share: npt.NDArray[np.float64] = own / np.maximum(network.mean, 1e-9)
    return share
