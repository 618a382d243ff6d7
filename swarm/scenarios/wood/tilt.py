"""Draws the Wood of a region: what is dear there is scarce. It knows no creatures' state and no roads."""

import numpy as np

from swarm.scenarios.wood.config import GOODS, WoodConfig
from swarm.scenarios.wood.creatures import by_good
from swarm.seeding import draw_between


def tilted(config: WoodConfig, seed: int, permille: int) -> WoodConfig:
    """Returns a region's Wood, where each good is as much dearer as its harvest is scarcer, or the other way round.

    A harvest is a few whole lots: its odd part is a lot or none by the seed's draw.
    """
    good = np.arange(len(GOODS))
    tilt = draw_between(seed, "tilt", -permille, permille, good)
    dice = draw_between(seed, "tilted harvest", 0, 999, good)
    price = np.clip(by_good(config.start_price_ticks) * (1_000 + tilt) // 1_000, 1, 100_000)
    harvest = np.minimum((by_good(config.harvest_lots) * (1_000 - tilt) + dice) // 1_000, 10_000)
    return config.model_copy(
        update={
            "start_price_ticks": dict(zip(GOODS, price.tolist(), strict=True)),
            "harvest_lots": dict(zip(GOODS, harvest.tolist(), strict=True)),
        }
    )
