"""What the benchmark of contracts counts: pieces of a text, sections left out, quotations by ContractEval's rule."""

from itertools import pairwise

from swarm.bench.contracts_removed import without
from swarm.scenarios.contract.finder import pieces_of
from swarm.training.quoting import Quoted, figures, likeness

TEXT = "1. Use. It is used by day, by nobody at night.\n\n2. Pay\n\n    1. Price. It costs ten.\n\n    2. At once.\n"


def test_pieces_are_in_order_and_leave_no_word_out() -> None:
    text = (TEXT + "A sentence of some length stands here for the cut. " * 20) * 2
    pieces = pieces_of(text)
    assert all(end <= start for (_, end), (start, _) in pairwise(pieces))
    assert " ".join(text[s:e] for s, e in pieces).split() == text.split()


def test_a_section_is_left_out_with_what_stands_under_it() -> None:
    assert "costs" not in without(TEXT, ["2"])
    shorter = without(TEXT, ["2.1"])
    assert "costs" not in shorter
    assert "At once" in shorter


def test_quoting_is_right_only_where_all_gold_is_quoted() -> None:
    rows = [Quoted(True, True, True, 0.5), Quoted(True, False, False, 0.0), Quoted(False, True, False, 0.0)]
    told = figures(rows)
    assert (told.precision, told.recall, told.f1, told.jaccard, told.none) == (0.5, 0.5, 0.5, 0.25, 0.5)
    assert likeness("one two, three", "two three four") == 0.5
