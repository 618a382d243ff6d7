"""Batches of orders in messages: small ones are one block, of large ones nothing is copied."""

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


def test_a_large_batch_goes_without_a_copy_and_shares_its_columns_with_another() -> None:
    decided = batch(5_000)
    submitted = replace(decided, priority=decided.priority[::-1])
    (_, one), (_, other) = decided.__reduce__()[1], submitted.__reduce__()[1]
    # A message has an array once that stands in it twice.
    assert [a is b for a, b in zip(one, other, strict=True)] == [True] * 6 + [False]
    assert one[0] is decided.trader


def test_one_batch_among_empty_ones_is_not_copied() -> None:
    only = batch(3)
    assert Orders.concatenate([Orders.empty(), only, Orders.empty()]) is only
    assert len(Orders.concatenate([])) == len(Orders.concatenate([Orders.empty()])) == 0
