"""House rules on size and shape, which only get stricter: what is listed as an exception must still need to be one."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest
import typer

from swarm import cli

ROOT = Path(__file__).parents[2]
SWARM = ROOT / "swarm"

# The shares of comments, of all and of each package, may only rise; four to ten are aimed at. A file that only
# lists keys or names may have fewer, since each of its entries has a docstring.
FILE_LINES, FUNCTION_LINES, UNCOMMENTED_LINES = 400, 60, 30
COMMENTS_PER_100_LINES, COMMENTS_PER_100_LINES_OF_A_PACKAGE = 4, 3

COMMENT = r"(^|\s)# (?!noqa|type:)"

KERNELS = {
    "swarm/market/continuous.py:_walk": "one loop over the book that numba compiles as it stands",
}
"""Functions that are longer or more complex than the rest, each with its reason."""


@cache
def sources() -> dict[str, str]:
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in sorted(SWARM.rglob("*.py"))}


@cache
def functions() -> tuple[tuple[str, str, int, int, int], ...]:
    """File, name, first line, lines, and comment lines of every function."""
    return tuple(
        (path, node.name, node.lineno, node.end_lineno - node.lineno + 1, len(comments(text, node)))
        for path, text in sources().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    )


def comments(text: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    return [line for line in lines if re.search(COMMENT, line)]


def docstring_lines(text: str) -> int:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
    found = (node.body[0] for node in ast.walk(ast.parse(text)) if isinstance(node, kinds) and ast.get_docstring(node))
    return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in found)


def report(problems: list[str], advice: str) -> str:
    return "\n".join([advice, *problems])


def test_no_file_is_longer_than_a_reader_bears() -> None:
    lines = {path: len(text.splitlines()) for path, text in sources().items()}
    bad = [f"{path}: {n} lines" for path, n in lines.items() if n > FILE_LINES]
    assert not bad, report(bad, f"a file has at most {FILE_LINES} lines: split it by the nouns in it")


def test_no_function_is_longer_than_a_screen() -> None:
    bad = [
        f"{path}:{line}: {name} has {lines} lines"
        for path, name, line, lines, _ in functions()
        if lines > FUNCTION_LINES and f"{path}:{name}" not in KERNELS
    ]
    assert not bad, report(bad, f"a function has at most {FUNCTION_LINES} lines: give its stages names")


def test_every_kernel_still_needs_its_exception() -> None:
    long = {f"{path}:{name}" for path, name, _, lines, _ in functions() if lines > FUNCTION_LINES}
    assert KERNELS.keys() <= long, report(sorted(KERNELS.keys() - long), "take these out of the list")


def test_long_functions_say_what_their_stages_do() -> None:
    bad = [
        f"{path}:{line}: {name} has {lines} lines and {said} comments"
        for path, name, line, lines, said in functions()
        if said < lines // UNCOMMENTED_LINES
    ]
    assert not bad, report(bad, "say the shape or the why of each stage, in a line for about thirty")


def package(path: str) -> str:
    """The package that a file counts for; those that lie beside the packages count together."""
    _, *folders, _ = Path(path).parts
    return f"swarm/{folders[0]}" if folders else "swarm"


def test_each_package_says_why() -> None:
    code: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for path, text in sources().items():
        lines = [line for line in text.splitlines() if line.strip()]
        code[package(path)] += len(lines) - docstring_lines(text)
        said[package(path)] += sum(bool(re.search(COMMENT, line)) for line in lines)
    bad = [
        f"{name}: {said[name]} comment lines in {lines} lines of code"
        for name, lines in code.items()
        if 100 * said[name] < COMMENTS_PER_100_LINES_OF_A_PACKAGE * lines
    ]
    advice = f"{COMMENTS_PER_100_LINES} lines of comments in 100: say shapes, units, orders and reasons"
    assert not bad, report(bad, advice)
    assert 100 * said.total() >= COMMENTS_PER_100_LINES * code.total(), advice


def test_no_import_cycle_counting_those_inside_functions() -> None:
    graph = grimp.build_graph("swarm", cache_dir=None, exclude_type_checking_imports=True)
    # A package's own file is left out: it is imported with each of its modules, whether or not it is named.
    modules = {m: {d for d in graph.find_modules_directly_imported_by(m) if d != "swarm"} for m in graph.modules}
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as error:
        pytest.fail("modules import each other in a circle: " + " -> ".join(error.args[1]))


def map_of_the_readme() -> Iterator[tuple[str, str]]:
    """Each path of the README's maps, and the folder that it lies in."""
    folder = ""
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| path |"):
            folder = "."
        elif line.startswith("| in `"):
            folder = line.split("`")[1].rstrip("/")
        elif not line.startswith("|"):
            folder = ""
        elif folder and (found := re.match(r"\| `([^`]+)`", line)):
            yield folder, found.group(1)


def test_the_readmes_map_is_what_lies_on_the_disk() -> None:
    mapped = {folder: {path for f, path in map_of_the_readme() if f == folder} for folder, _ in map_of_the_readme()}
    entries = [e for e in SWARM.iterdir() if not e.name.startswith("__")]
    on_disk = {f"{e.name}/" if e.is_dir() else e.name for e in entries if e.is_dir() or e.suffix == ".py"}
    assert mapped["swarm"] == on_disk
    assert all((ROOT / path).is_dir() for path in mapped["."]), sorted(mapped["."])


def test_what_the_architecture_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = [name for name in re.findall(r"`([\w./-]+)`", text) if "/" in name or name.endswith((".py", ".md"))]
    bases = (ROOT, SWARM, SWARM / "market")
    bad = [name for name in named if not any((base / name).exists() for base in bases)]
    # Commands: targets of the Makefile, and those of the command line.
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    bad += [f"make {t}" for t in re.findall(r"`make ([\w-]+)", text) if f"\n{t}:" not in makefile]
    commands = set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    bad += [f"swarm {c}" for c in re.findall(r"`swarm ([a-z]+)", text) if c not in commands]
    assert len(named) > 30
    assert not bad, report(bad, "docs/architecture.md names files and commands that there are")


def test_links_of_the_pages_lead_somewhere() -> None:
    bad = []
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                bad.append(f"{page.name}: {target}")
    assert not bad, report(bad, "a link names a file of the project")
