"""Batches of orders in messages: one block of narrow columns."""

from dataclasses import fields, replace

import numpy as np
import pytest

from swarm.market.orders import Orders


def batch(orders: int) -> Orders:
    return Orders.of_rows([(i, 0, i % 5, 1, 100 + i, 1, 7 * i) for i in range(orders)])


@pytest.mark.parametrize("orders", [0, 3, 5_000])
def test_a_batch_comes_out_of_a_message_as_it_went_in(orders: int) -> None:
    sent = replace(batch(orders), target=np.arange(orders))
    make, told = sent.__reduce__()
    came = make(*told)
    assert type(came) is Orders
    for field in fields(Orders):
        column = getattr(came, field.name)
        assert column.tolist() == getattr(sent, field.name).tolist(), field.name
        # Numpy's own type, by which its fast loops know it.
        assert column.dtype is np.dtype(np.int64), field.name


def test_a_batch_in_a_message_is_as_narrow_as_its_numbers() -> None:
    rows, widths, block = batch(5_000).__reduce__()[1][1]
    # Trader, sequence, good, side, limit, quantity and priority.
    assert (rows, list(widths)) == (5_000, [2, 0, 1, 0, 2, 0, 4])
    assert len(block) == 5_000 * (2 + 1 + 2 + 4) + 3 * 8


def test_one_batch_among_empty_ones_is_not_copied() -> None:
    only = batch(3)
    assert Orders.concatenate([Orders.empty(), only, Orders.empty()]) is only
    assert len(Orders.concatenate([])) == len(Orders.concatenate([Orders.empty()])) == 0
