"""Options that several commands have, so that one word means the same in each."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

CONFIG_HELP = "A YAML file, say configs/wood.yaml, or the name of a config that comes with swarm, say wood."

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help=CONFIG_HELP)]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder, as `swarm run` printed it.")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Use this seed in place of the config's.")]
Chapter = Annotated[
    int | None,
    typer.Option(
        "--chapter",
        metavar="N",
        help="Go on from the last round for N more, with all that is remembered; who was exiled may return.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=VALUE",
        help="Set one key of the config, say --set rounds=10; may stand several times. Items of a list count from 0, "
        "as in models.0.name; A.B+=ITEM adds one.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        envvar="RAY_ADDRESS",
        help="Join this Ray cluster (or `auto`: the one on this machine) in place of starting one. One that asks for a "
        "token gets that of RAY_AUTH_TOKEN_PATH.",
    ),
]
JsonPath = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the results here, too; `-` prints them alone.")
]
Workers = Annotated[int | None, typer.Option(min=1, max=64, metavar="N", help="Runs side by side; as many as cores.")]
AskedToo = Annotated[
    Path | None, typer.Option("--config", metavar="CONFIG", help="Ask its models, too, whether they read.")
]
KeepRuns = Annotated[
    Path | None, typer.Option("--keep", metavar="FILE", help="Keep finished runs here, and take them from here.")
]
KeepReplies = Annotated[
    Path | None, typer.Option("--replies", metavar="FILE", help="Keep what models reply there, and go on from it.")
]
TasksEach = Annotated[
    int | None,
    typer.Option("--tasks", min=4, max=10_000, metavar="N", help="Tasks of each difficulty, for models; 40, or 5."),
]
SupplyPart = StrEnum("SupplyPart", ("theory", "reading", "plans", "minds", "bullwhip", "road"))
SupplyParts = Annotated[
    list[SupplyPart] | None, typer.Option("--part", help="Only this part; may stand several times.")
]
KnockOuts = Annotated[
    int, typer.Option(min=0, max=100, metavar="N", help="Seeds with a knock-out table and a lawful month.")
]
PaymentFiles = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FILE", exists=True, dir_okay=False, help="Shared payments, too; several times."),
]
Screener = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A screener of `swarm train-screener`, else one is trained.")
]
CasesEach = Annotated[int, typer.Option(min=6, max=738, metavar="N", help="Cases that each of its minds reads.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and all else to standard error.")]

Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Let this folder's config send what it wants where it wants; it is shown first, and remembered.",
    ),
]

KeyHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--key-host",
        metavar="VARIABLE=HOST",
        help="The key in this variable may go to this host; may stand several times, beside those of keys.yaml.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The run's folder, new or empty. Default: runs/<name>-<seed>-<time>."),
]
Local = Annotated[
    bool | None,
    typer.Option(
        "--local/--ray",
        help="Run in this one process, without Ray, or over Ray. Default: over Ray; what goes on or is forked, where "
        "it ran.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]

Live = Annotated[
    bool, typer.Option("--live", help="Serve a page to watch the run on and to step in; its addresses are printed.")
]
LiveAt = Annotated[
    str | None,
    typer.Option(
        "--live-at",
        metavar="HOST:PORT",
        help="Serve the page here. Default: 127.0.0.1:8484, or any free port where that is taken.",
    ),
]
LiveHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--live-host",
        metavar="NAME",
        help="A name that the page is reached by, say that of a Service or a proxy; may stand several times.",
    ),
]
