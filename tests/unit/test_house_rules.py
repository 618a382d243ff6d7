"""House rules that no linter knows, over the files that git tracks or would track."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
EMPTY_NAMES = {"base", "common", "helpers", "manager", "types", "utils"}
# Written so that no pattern matches its own text. The one home allowed is that of Ray's own container images.
DEVELOPER_PATH = re.compile(r"(?<![\w.-])/(?:hom[e]/(?!ray\b)|User[s]/|roo[t]/)\w*")
REGISTRY_HOST = re.compile(r"pyp[i]\.org|pythonhoste[d]|npmj[s]", re.IGNORECASE)
STOP_OF_ALL_RAY = re.compile(r"\bra[y][\"',\s]+stop\b")
CODE_SUFFIXES = {".py", ".sh", ".yaml", ".yml", ".toml", ".tpl"}
CODE_NAMES = {"Makefile", "Dockerfile", "run"}
WALK_SKIPS = {".git", ".venv", ".cache", ".hypothesis", "__pycache__", "build", "dist", "runs"}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the project, relative to its root; outside a git checkout, what lies there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
        found = listing.stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = [str(path.relative_to(ROOT)) for path in walk()]
    return tuple(sorted(Path(name) for name in found if name and (ROOT / name).is_file()))


def walk() -> Iterator[Path]:
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if name not in WALK_SKIPS]
        yield from (Path(folder, name) for name in names)


@cache
def text(path: Path) -> str:
    """A file's text; empty for a binary file."""
    content = (ROOT / path).read_bytes()
    if b"\0" in content:
        return ""
    return content.decode("utf-8", errors="replace")


def modules(*under: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in tracked():
        if path.suffix == ".py" and path.is_relative_to(Path(*under)):
            yield path, ast.parse(text(path), str(path))


def calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each call's name as written (`yaml.load`) and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node.lineno


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each import's top package and its line, also of imports inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0], node.lineno


def lines_matching(pattern: re.Pattern[str], paths: Iterator[Path]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in paths
        for number, line in enumerate(text(path).splitlines(), start=1)
        if pattern.search(line)
    ]


def report(problems: list[str], advice: str) -> str:
    return "\n".join([advice, *problems])


def test_the_project_is_seen() -> None:
    assert Path("swarm/__init__.py") in tracked(), f"{ROOT} does not look like the project"
    assert len(list(modules("swarm"))) > 1


def test_module_names_say_something() -> None:
    bad = [str(path) for path, _ in modules("swarm") if EMPTY_NAMES & {path.stem, *path.parts[1:-1]}]
    assert not bad, report(bad, "name a file for the noun of the domain it holds")


def test_every_module_has_a_docstring() -> None:
    bad = [str(path) for path, tree in modules("swarm") if not ast.get_docstring(tree)]
    assert not bad, report(bad, "open the module with what it owns and what it does not know")


def test_only_the_command_line_prints() -> None:
    allowed = (Path("swarm/cli.py"), Path("swarm/bench"))
    bad = [
        f"{path}:{line}"
        for path, tree in modules("swarm")
        if not any(path.is_relative_to(one) for one in allowed)
        for name, line in calls(tree)
        if name == "print"
    ]
    assert not bad, report(bad, "return the text, or raise a SwarmError; only the command line prints")


def test_only_the_runtime_imports_ray() -> None:
    bad = [
        f"{path}:{line}"
        for path, tree in modules("swarm")
        if not path.is_relative_to("swarm/runtime")
        for package, line in imports(tree)
        if package == "ray"
    ]
    assert not bad, report(bad, "put what needs Ray behind a port, and its adapter into swarm/runtime")


def test_the_market_stands_on_numpy_alone() -> None:
    allowed = {"numpy", "pydantic", "swarm", *sys.stdlib_module_names}
    bad = [
        f"{path}:{line}: {package}"
        for path, tree in modules("swarm", "market")
        for package, line in imports(tree)
        if package not in allowed and (path.name, package) != ("compiled.py", "numba")
    ]
    assert not bad, report(bad, "the market needs numpy, the standard library, and pydantic for its settings")


def test_no_code_runs_text() -> None:
    banned = {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load"}
    bad = [f"{path}:{line}: {name}" for path, tree in modules("swarm") for name, line in calls(tree) if name in banned]
    assert not bad, report(bad, "read data as data: msgpack, JSON or yaml.safe_load")


def test_nothing_stops_every_ray_on_the_machine() -> None:
    code = (path for path in tracked() if path.suffix in CODE_SUFFIXES or path.name in CODE_NAMES)
    bad = lines_matching(STOP_OF_ALL_RAY, code)
    assert not bad, report(bad, "it ends other people's Ray too: end the process you started, by its id")


def test_no_path_of_a_developers_machine() -> None:
    bad = lines_matching(DEVELOPER_PATH, iter(tracked()))
    assert not bad, report(bad, "write a path relative to the project")


def test_no_package_registry_is_named() -> None:
    bad = lines_matching(REGISTRY_HOST, iter(tracked()))
    assert not bad, report(bad, "leave the choice of a package registry to the machine that installs")


def test_every_config_says_its_purpose_and_its_command() -> None:
    bad = []
    for path in tracked():
        if path.suffix not in {".yaml", ".yml"} or not path.is_relative_to("configs"):
            continue
        header = re.match(r"(?:#.*\n)*", text(path))
        comment = header.group() if header else ""
        if "swarm " not in comment or str(path) not in comment or len(comment.splitlines()) < 2:
            bad.append(str(path))
    assert not bad, report(bad, "begin with a comment: the purpose, then the command with the file's path")


def test_all_yaml_parses() -> None:
    bad = []
    for path in tracked():
        if path.suffix not in {".yaml", ".yml"} or "templates" in path.parts:
            continue  # a chart's templates become YAML only when they are rendered
        try:
            list(yaml.safe_load_all(text(path)))
        except yaml.YAMLError as error:
            bad.append(f"{path}: {error}")
    assert not bad, report(bad, "mend the YAML")
