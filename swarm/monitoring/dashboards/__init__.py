"""Owns the dashboards: where the committed JSON lies, and how it is built anew from the code beside this file.

Only building needs grafana-foundation-sdk; what reads the JSON does not.
"""

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swarm.errors import ConfigError, OutputError

NAMES = ("run", "market", "models", "cluster")
"""In the order in which one looks at them."""

FOLDER = Path(__file__).parent / "json"
"""The committed files: a part of the installed package, and in a checkout a link to `dashboards/`."""


def committed(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Returns the dashboards as they were committed, by name."""
    found: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        path = folder / f"{name}.json"
        try:
            found[name] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                str(path), f"expected a dashboard as JSON ({error})", "`make dashboards` builds it"
            ) from error
    return found


def built() -> dict[str, str]:
    """Returns the text of each dashboard's file, built from the code."""
    if importlib.util.find_spec("grafana_foundation_sdk") is None:
        raise ConfigError(
            "swarm dashboards build",
            "building needs grafana-foundation-sdk, which is not installed",
            "`make setup` brings it; pushing the committed dashboards does without",
        )
    # Imported here, since all but this function works without the builder.
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    from swarm.monitoring.dashboards import cluster, market, models, run

    modules = {"run": run, "market": market, "models": models, "cluster": cluster}
    # Sorted keys, so that what is committed differs only where a panel does.
    return {
        name: json.dumps(modules[name].dashboard(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        + "\n"
        for name in NAMES
    }


def write(texts: Mapping[str, str], folder: Path) -> None:
    """Writes the dashboards' files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / f"{name}.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder}: the dashboards cannot be written there ({error.strerror or error}); name another folder"
        ) from error


def differing(texts: Mapping[str, str], folder: Path) -> list[str]:
    """Returns the names of the dashboards whose file in `folder` is absent or differs from `texts`."""
    files = {name: folder / f"{name}.json" for name in texts}
    return [
        name for name, path in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != texts[name]
    ]
