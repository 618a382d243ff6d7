"""The figures of the README and of docs/benchmarks.md are those of the benchmarks' files."""

from pathlib import Path

import pytest

from swarm.bench.table import BEGIN, END, TEN, insert, pages, render

ROOT = Path(__file__).parents[2]


def test_the_pages_show_the_benchmarks_files_and_nothing_else() -> None:
    for path, text in pages(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make bench-table`"


def test_the_readme_shows_ten_figures_that_exist() -> None:
    table = render(ROOT / "docs" / "benchmarks", TEN)
    assert table.count("\n| ") == len(set(TEN)) == 10


def test_a_figure_that_no_file_has_is_named() -> None:
    with pytest.raises(KeyError, match="round_s_of_nobody"):
        render(ROOT / "docs" / "benchmarks", ["round_s_of_nobody"])


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        insert(f"a page\n{BEGIN}\n", "table")
    assert insert(f"{BEGIN}{END}", "table") == f"{BEGIN}\ntable\n{END}"
