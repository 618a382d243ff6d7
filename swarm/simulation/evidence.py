"""Makes evidence of a round that is settled, as surveillance takes it; it reads no text and knows no mind."""

import numpy as np

from swarm.coordination.messages import TIP
from swarm.market.evidence import Round
from swarm.market.orders import Int64, Orders
from swarm.scenarios.protocol import PostsPrices
from swarm.simulation.loop import RoundOutcome


def of_round(outcome: RoundOutcome) -> Round | None:
    """Returns the evidence of one market's round; None for the joint round of several."""
    basis = outcome.basis
    if basis is None:
        return None
    # What was said in this round is heard in the next; who told what is known at once.
    said = outcome.said
    tips = np.stack([said.sender, said.good, said.side], axis=1)[said.kind == TIP]
    return Round(
        round=outcome.round,
        orders=basis.orders,
        taken=outcome.taken,
        trades=outcome.cleared.trades,
        reference_ticks=outcome.reference_before_ticks,
        have=basis.before.state.balances[:, 1:],
        tips=tips,
        news=_news(outcome),
        resting=Orders.empty() if basis.before.resting is None else basis.before.resting,
        concerted=setting.concerted_permille() if isinstance(setting := outcome.plan.scenario, PostsPrices) else None,
    )


def _news(outcome: RoundOutcome) -> Int64:
    """Returns the goods of shocks that begin in a round, and where their prices went in it, [rows, 2]."""
    setting = outcome.plan.scenario
    moved = np.sign(outcome.cleared.reference_ticks - outcome.reference_before_ticks)
    began = [setting.goods.index(mark.good) for mark in setting.shocks if mark.first_round == outcome.round]
    return np.array([(good, int(moved[good])) for good in began if moved[good]], dtype=np.int64).reshape(-1, 2)
