"""What the code imports of others is declared, and what is declared is imported."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# The import names of distributions that may be absent where this runs, and of those that are asked for as a whole.
NAMES = {"onnx": "onnx", "torch": "torch", "vllm": "vllm", "pyyaml": "yaml", "vl_convert_python": "vl_convert"}
# vLLM is installed by its own lock, and brings what its tokenizers and weights are read with.
OF_VLLM = {"vllm", "safetensors", "tokenizers", "transformers", "torch"}
# Named by other means than an import statement, or asked for by the project's own description.
NOT_IMPORTED = {"ray"}


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("-", "_")


def imported(folder: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0]: path for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found[node.module.partition(".")[0]] = path
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names and name != "swarm"}


def import_names(requirements: list[str]) -> set[str]:
    """What the distributions of these requirements are imported as."""
    by_distribution: dict[str, set[str]] = {}
    for package, distributions in metadata.packages_distributions().items():
        for distribution in distributions:
            by_distribution.setdefault(distribution.lower().replace("-", "_"), set()).add(package)
    names = [name_of(requirement) for requirement in requirements]
    return {package for name in names for package in by_distribution.get(name, {NAMES.get(name, name)})}


def test_what_is_imported_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = import_names([*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)])
    missing = {name: str(path.relative_to(ROOT)) for name, path in imported("swarm").items() if name not in declared}
    assert missing.keys() <= OF_VLLM, f"name these under dependencies in pyproject.toml: {missing}"


def test_what_is_declared_is_imported() -> None:
    used = imported("swarm").keys() | NOT_IMPORTED
    for requirement in PROJECT["dependencies"]:
        assert import_names([requirement]) & used, f"nothing imports {requirement}"
