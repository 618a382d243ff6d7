"""The section `scenario` of a contract desk, and how the files that it names become text that is kept with the run.

A run's config holds the contracts and the rule sets themselves, so that a replay needs no other file. Where contracts
are many, it holds their files' names and digests, and whoever replays needs the same files.
"""

import base64
import zlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from swarm.errors import ConfigError
from swarm.scenarios.contract import rule_sets, screener
from swarm.scenarios.contract.reading import ContractError, Document, read_contract
from swarm.scenarios.contract.rule_sets import RuleSet
from swarm.scenarios.contract.screener import ScreenerError
from swarm.schema import StrictModel, path_of

KEY = "scenario.contract"
SAMPLES = Path(__file__).parent / "samples"
OUR_CONTRACT = SAMPLES / "nda.md"
MOST_CONTRACTS = 1_000
KEPT_CHARACTERS = 240_000
"""So many characters of packed contracts are kept within a config; more would make it longer than a config may be."""

MOST_NAMED = 8
"""Files that a remark names, at the most, of those that were not read."""

ENDINGS = (".txt", ".md", ".docx", ".pdf")


class ContractText(StrictModel):
    """A contract of a run: its text, packed, or the file that has it; `sha256` is that of the text."""

    name: str = Field(min_length=1, max_length=255)
    """The file's name."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The digest of its text."""

    packed: str = ""
    """Its text, deflated and in base 85; empty where there are too many to keep."""

    path: str = ""
    """The file, where the text is not kept."""

    remarks: tuple[str, ...] = ()
    """What was odd about the file."""


class ReviewerConfig(StrictModel):
    """What a mind bids with for rule sets."""

    family: str = Field(default="", max_length=40)
    """Minds of one family never check each other; empty: a family of its own."""

    cents_per_1000_tokens: float = Field(default=0.0, ge=0.0, le=1_000_000.0)
    """What its tokens cost."""

    claim_permille: int = Field(default=700, ge=1, le=999)
    """How often it says that it is right, in 1/1000, before its record tells."""

    reads: Literal["all", "topics"] = "all"
    """Which rules it reads: all, or those alone whose topic the screener knows."""


class ContractConfig(StrictModel):
    """The setting `contract`."""

    name: Literal["contract"] = "contract"
    """Which scenario this is."""

    contract: str = Field(default="", max_length=1_000)
    """A file that ends in txt, md, docx or pdf, or a folder of such files, which is a portfolio; empty: one of ours."""

    rule_sets: tuple[str, ...] = Field(default=(), max_length=50)
    """Rule sets: names of ours (commercial, consumer, covenants, data, nda), or YAML files; empty: all of ours."""

    screener: str = Field(default="", max_length=1_000)
    """A trained screener, a file that `swarm train-screener` has made; empty: the rule `screener` is not there."""

    screener_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """The digest of its file, made from it, so that nobody goes on with another."""

    screener_topics: tuple[str, ...] = Field(default=(), max_length=1_000)
    """The topics that it knows, made from it, so that a replay needs no screener."""

    escalations: int = Field(default=10, ge=0, le=10_000)
    """How many disagreements about a contract a third reviewer settles, those of most weight first; all others are left
    to a person."""

    candidates: int = Field(default=3, ge=1, le=8)
    """How many sentences a model is shown of a contract for a rule."""

    candidate_characters: int = Field(default=420, ge=100, le=8_000)
    """How many characters these have together."""

    tries: int = Field(default=2, ge=1, le=10)
    """How often a reviewer is asked about a rule that it answers in no readable way; then it has not read it."""

    fee_cents: int = Field(default=10, ge=0, le=1_000_000)
    """What a reviewer earns for a finding that holds."""

    stake_cents: int = Field(default=100, ge=0, le=1_000_000)
    """What a reviewer stakes on a finding, times how sure it says it is."""

    purse_cents: int = Field(default=100_000, ge=0, le=1 << 40)
    """What each reviewer's seat begins with."""

    reviewers: dict[str, ReviewerConfig] = Field(default_factory=dict, max_length=32)
    """What minds bid with, by name."""

    decided: dict[str, Literal["met", "missing", "contradicted", "by reference"]] = Field(
        default_factory=dict, max_length=20_000
    )
    """What a lawyer has decided, or an answer key says, by `CONTRACT/SET/RULE`; it stands above all reviewers and pays
    them."""

    contracts: tuple[ContractText, ...] = Field(default=(), max_length=MOST_CONTRACTS)
    """The contracts as they were read; made from `contract`, and nothing to write by hand."""

    sets: tuple[RuleSet, ...] = Field(default=(), max_length=50)
    """The rule sets as they were read; made from `rule_sets`."""


def settled(config: ContractConfig) -> ContractConfig:
    """Returns the same with the files read that it names; ConfigError where one cannot be."""
    # What was read once is not read again, so a run's own config needs no file.
    update: dict[str, object] = {}
    if config.contract or not config.contracts:
        update = {"contracts": _contracts(path_of(KEY, config.contract) if config.contract else OUR_CONTRACT)}
        update["contract"] = ""
    if config.rule_sets or not config.sets:
        update |= {"sets": _sets(config.rule_sets), "rule_sets": ()}
    if config.screener and not config.screener_sha256:
        update |= _screener(path_of("scenario.screener", config.screener))
    return config.model_copy(update=update)


def _screener(path: Path) -> dict[str, object]:
    """Returns the keys of a screener, which is read here, so that no run begins with a file that is none."""
    try:
        sha256 = screener.digest(path)
        topics = tuple(sorted(screener.load(path, sha256).topics))
    except ScreenerError as error:
        raise ConfigError("scenario.screener", str(error)) from error
    return {"screener": str(path.resolve()), "screener_sha256": sha256, "screener_topics": topics}


def _contracts(path: Path) -> tuple[ContractText, ...]:
    files, unread = _files(path)
    if not files:
        raise ConfigError(KEY, f"{path}: no file in it ends in {', '.join(ENDINGS)}", "name a folder with contracts")
    if len(files) > MOST_CONTRACTS:
        raise ConfigError(KEY, f"{path}: {len(files):,} files, over {MOST_CONTRACTS:,}", "make several runs of them")
    found: dict[str, tuple[Document, Path]] = {}
    doubled: dict[str, list[str]] = {}
    for file in files:
        document = _read(file)
        # The same text under another name is the same contract.
        if document.sha256 in found:
            doubled.setdefault(document.sha256, []).append(document.name)
        else:
            found[document.sha256] = document, file
    # What lies beside them and was not read is told with the first.
    beside = _told(unread)
    first = next(iter(found))
    # All contracts are kept within the config, or none.
    packed = {digest: _packed(document.text) for digest, (document, _) in found.items()}
    fits = sum(map(len, packed.values())) <= KEPT_CHARACTERS
    return tuple(
        ContractText(
            name=document.name,
            sha256=digest,
            packed=packed[digest] if fits else "",
            path="" if fits else str(file.resolve()),
            remarks=(
                *document.remarks,
                *(f"the same text lies there as {name}" for name in doubled.get(digest, ())),
                *(beside if digest == first else ()),
            ),
        )
        for digest, (document, file) in found.items()
    )


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """Returns the contracts' files, and what else lies in their folder but for hidden files."""
    if not path.is_dir():
        return [path], []
    lying = sorted(f for f in path.iterdir() if not f.name.startswith("."))
    files = [f for f in lying if f.suffix.lower() in ENDINGS and not f.is_dir()]
    return files, [f for f in lying if f not in files]


def _told(unread: list[Path]) -> tuple[str, ...]:
    if not unread:
        return ()
    names = ", ".join(f.name + "/" * f.is_dir() for f in unread[:MOST_NAMED])
    more = f" and {len(unread) - MOST_NAMED:,} more" if len(unread) > MOST_NAMED else ""
    return (f"what lies beside it in the folder was not read: {names}{more}; expected {', '.join(ENDINGS)}",)


def _read(path: Path) -> Document:
    try:
        return read_contract(path)
    except ContractError as error:
        raise ConfigError(KEY, str(error)) from error


def _packed(text: str) -> str:
    return base64.b85encode(zlib.compress(text.encode("utf-8"), 9)).decode("ascii")


def document_of(kept: ContractText) -> Document:
    """Returns the contract that a config keeps; ConfigError where its file is another by now."""
    if kept.packed:
        try:
            text = zlib.decompress(base64.b85decode(kept.packed)).decode("utf-8")
        except (ValueError, zlib.error) as error:
            raise ConfigError("scenario.contracts", f"{kept.name}: its text is no packed text ({error})") from error
        document = Document(kept.name, text, kept.remarks)
    else:
        document = _read(Path(kept.path))
    if document.sha256 != kept.sha256:
        raise ConfigError(
            "scenario.contracts", f"{kept.name}: its text is not the one that was reviewed", "put the same file back"
        )
    return Document(kept.name, document.text, kept.remarks)


def _sets(names: tuple[str, ...]) -> tuple[RuleSet, ...]:
    if not names:
        return tuple(rule_sets.ours().values())
    found = [
        rule_sets.read_rule_set(path_of(rule_sets.KEY, name), rule_sets.KEY)
        if Path(name).suffix
        else rule_sets.named(name)
        for name in names
    ]
    ids = [one.id for one in found]
    if twice := next((one for one in ids if ids.count(one) > 1), None):
        raise ConfigError(rule_sets.KEY, f"the set {twice} stands there twice", "leave one out")
    return tuple(found)
