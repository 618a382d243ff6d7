"""Quotations stand at their offsets, whatever white space, quotes and dashes look like, and nothing else is one."""

import string

from hypothesis import given
from hypothesis import strategies as st

from swarm.scenarios.contract.clauses import Structure
from swarm.scenarios.contract.index import Index
from swarm.scenarios.contract.quotation import ABSENT, CUT_WORD, ELLIPSIS, alike, find

WORDS = st.lists(
    st.sampled_from(
        [
            "The",
            "receiver",
            "shall",
            "not",
            "disclose",
            "“Confidential Information”",
            "Supplier\u2019s",
            "\u2013",
            "(a)",
            "1.",
            "end.",
        ]
    ),
    min_size=3,
    max_size=20,
)
SPACES = st.sampled_from([" ", "  ", "\n", "\t", "\u00a0", " \n\n "])


@st.composite
def texts(draw: st.DrawFn) -> str:
    words = draw(WORDS)
    return "".join(word + draw(SPACES) for word in words)


@given(texts(), st.data())
def test_a_piece_of_the_text_is_found_and_is_alike(text: str, data: st.DataObject) -> None:
    words = text.split()
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    # As somebody types it: one space each, and a keyboard's quotes and dashes.
    typed = " ".join(words[first : last + 1]).translate({0x201C: '"', 0x201D: '"', 0x2019: "'", 0x2013: "-"})
    found = find(text, typed)
    if not any(character.isalnum() for character in typed):
        assert found.span is None
        return
    assert found.span is not None, (text, typed, found)
    start, end = found.span
    assert alike(text[start:end], typed)


@given(texts(), st.text(string.ascii_lowercase, min_size=12, max_size=20))
def test_what_is_not_in_the_text_is_no_quotation(text: str, invented: str) -> None:
    assert find(text, f"{text.split(maxsplit=1)[0]} {invented}").span is None


@given(texts())
def test_a_quotation_without_its_not_is_void(text: str) -> None:
    sentence = f"{text} The buyer shall not assign except with consent. {text}"
    assert find(sentence, "The buyer shall not assign").span is not None
    assert find(sentence, "The buyer shall assign").reason == ABSENT
    assert find(sentence, "The buyer shall ... assign").reason == ELLIPSIS
    assert find(sentence, "The buyer \u2026 assign except").reason == ELLIPSIS


def test_a_quotation_cuts_no_word() -> None:
    assert find("The seller cannot deliver.", "The seller can").reason == CUT_WORD
    assert find("A, B.", "...").span is None


@given(texts())
def test_clauses_and_sentences_lie_in_order_within_the_text(text: str) -> None:
    structure = Structure(text)
    edges = [edge for clause in structure.clauses for edge in (clause.start, clause.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(text) for edge in edges)
    # No letter of the text lies outside all clauses.
    inside = "".join(structure.text_of(number) for number in range(len(structure.clauses)))
    assert [c for c in inside if c.isalnum()] == [c for c in text if c.isalnum()]
    index = Index(structure)
    assert all(text[start:end] == index.text(number) for number, (start, end) in enumerate(index.spans))
