"""The README's figures are those of the benchmarks' files."""

from pathlib import Path

from swarm.bench.table import insert, render

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_benchmarks_files_and_nothing_else() -> None:
    readme = (ROOT / "README.md").read_text()
    assert insert(readme, render(ROOT / "docs" / "benchmarks")) == readme, "run `make bench-table`"
