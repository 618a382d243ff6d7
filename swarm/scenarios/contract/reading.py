"""Reads a contract's file as text: txt, md, docx, and pdf with text. What is no readable contract is refused by name.

What was odd about a file is kept as remarks, which the report shows: nothing is mended in silence.
"""

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swarm.scenarios.contract.clauses import Structure

MOST_BYTES, MOST_CHARACTERS = 50 << 20, 2_000_000
FEWEST_LETTERS, SHORT = 100, 2_000
"""Fewer letters are no contract; below so many characters it may be a part of one."""

FEWEST_LETTERS_A_PAGE = 40
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


class ContractError(ValueError):
    """A file that cannot be read as a contract, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A contract as it was read: its name, its text, and what was odd about its file."""

    name: str
    text: str
    remarks: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """The digest of its text, by which findings are keyed."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()


def read_contract(path: Path) -> Document:
    """Returns a contract's text; ContractError where the file holds none."""
    readers: dict[str, Callable[[bytes], tuple[str, list[str]]]] = {
        ".txt": _plain,
        ".md": _plain,
        ".docx": _docx,
        ".pdf": _pdf,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ContractError(f"{path.name}: expected a file that ends in {', '.join(readers)}; save it as one of these")
    # Opening a pipe that nobody writes to would wait for ever.
    if path.exists() and not path.is_file():
        raise ContractError(f"{path}: this is no regular file; name a contract's file, or a folder of them")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ContractError(f"{path}: it cannot be read ({error.strerror}); name a file that is there") from error
    if len(content) > MOST_BYTES:
        raise ContractError(f"{path.name}: longer than {MOST_BYTES >> 20} MiB; take pictures out, or split it")
    try:
        text, remarks = reader(content)
    except ContractError as error:
        raise ContractError(f"{path.name}: {error}") from error
    return checked(path.name, text, remarks)


def checked(name: str, text: str, remarks: list[str]) -> Document:
    """Returns a text as a contract, with remarks on what it lacks; ContractError where it is none."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").removeprefix("\ufeff")
    letters = sum(map(str.isalpha, text))
    if letters < FEWEST_LETTERS:
        raise ContractError(f"{name}: it has {letters} letters, and no contract has so few; is it the right file?")
    if len(text) > MOST_CHARACTERS:
        raise ContractError(
            f"{name}: {len(text):,} characters, over {MOST_CHARACTERS:,}; give its parts as several contracts"
        )
    # Remarks say what was read and what was not; none of them stops a review.
    found = list(remarks)
    if len(text) < SHORT:
        found.append(f"it is short, {len(text):,} characters: is this the whole contract?")
    structure = Structure(text)
    if structure.redactions:
        found.append(f"{len(structure.redactions)} passages are redacted or blank, and nobody has read those")
    if structure.elsewhere:
        shown = ", ".join(structure.elsewhere[:8]) + (" and more" if len(structure.elsewhere) > 8 else "")
        found.append(f"it refers to documents that are not in it: {shown}")
    if structure.instructions:
        found.append(
            f"{len(structure.instructions)} sentences read like instructions to the reader; they are shown to no model"
        )
    return Document(name, text, tuple(found))


def _plain(content: bytes) -> tuple[str, list[str]]:
    """Returns text as UTF-8 has it, or else as Windows' western code page has it."""
    # Text has no zero bytes, unless it is UTF-16 and says so.
    if b"\x00" in content[:4_096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ContractError("this is no text; name its true ending, or save it as text")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace"), []
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), ["it is not UTF-8, and was read as Windows-1252"]


def _needs(package: str, module: str) -> None:
    if find_spec(module) is None:
        raise ContractError(f"{package} is not installed, which reads such files; install the extra `contracts`")


def _docx(content: bytes) -> tuple[str, list[str]]:
    """Returns the paragraphs of a Word file: insertions as accepted, deletions left out, both counted."""
    _needs("python-docx", "docx")
    import docx

    try:
        body: Any = docx.Document(io.BytesIO(content)).element.body
    except Exception as error:
        raise ContractError(f"no Word file can be read here ({type(error).__name__}); save it anew") from error
    # Runs of insertions hold text as others do; those of deletions hold another element.
    inserted, deleted = (sum(1 for _ in body.iter(f"{_WORD}{mark}")) for mark in ("ins", "del"))
    lines = ["".join(_run(node) for node in paragraph.iter()) for paragraph in body.iter(f"{_WORD}p")]
    remarks = []
    if inserted or deleted:
        remarks.append(
            f"it has tracked changes: {inserted} insertions are read as accepted, {deleted} deletions are left out"
        )
    return "\n\n".join(line for line in lines if line.strip()), remarks


def _run(node: Any) -> str:
    """Returns what one element of a paragraph adds to its text; what was deleted is of another kind, and adds none."""
    tag = node.tag
    if tag == f"{_WORD}t":
        return node.text or ""
    return {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}noBreakHyphen": "-"}.get(tag, "")


def _pdf(content: bytes) -> tuple[str, list[str]]:
    """Returns the text of a PDF, pages one after another; two columns are read one after the other."""
    _needs("pypdf", "pypdf")
    import pypdf
    from pypdf.errors import PyPdfError

    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ContractError("it is locked by a password; save it without one")
        pages = [_page(page) for page in reader.pages]
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        if isinstance(error, ContractError):
            raise
        raise ContractError(f"no PDF can be read here ({type(error).__name__}); save it anew") from error
    # [pages] letters; pictures of text have none.
    letters = [sum(map(str.isalpha, text)) for text, _ in pages]
    if sum(letters) < FEWEST_LETTERS_A_PAGE * max(len(pages), 1):
        raise ContractError(
            f"it is a scan without text ({len(pages)} pages, {sum(letters)} letters); run OCR over it first"
        )
    remarks = []
    if bare := sum(count < FEWEST_LETTERS_A_PAGE for count in letters):
        remarks.append(f"{bare} of {len(pages)} pages have no text, and nobody has read those")
    if columns := sum(two for _, two in pages):
        remarks.append(f"{columns} pages have two columns, which were read one after the other")
    return "\n\n".join(text for text, _ in pages), remarks


def _page(page: Any) -> tuple[str, bool]:
    """Returns the text of a page, and whether it stands in two columns."""
    pieces: list[tuple[float, float, str]] = []

    def seen(text: str, _: Any, matrix: Any, *__: Any) -> None:
        if text.strip():
            pieces.append((float(matrix[4]), float(matrix[5]), text.strip("\n")))

    whole = page.extract_text(visitor_text=seen)
    middle = float(page.mediabox.left) + float(page.mediabox.width) / 2
    right = [piece for piece in pieces if piece[0] >= middle - 20]
    left = [piece for piece in pieces if piece[0] < middle - 20]
    # Two columns have lines on both sides at the same heights, and no line that runs across the middle.
    level = sum(any(abs(y - other) < 3 for _, other, _ in left) for _, y, _ in right)
    widest = max((len(text) for _, _, text in left), default=0)
    if min(len(left), len(right)) < 8 or level < 0.6 * len(right) or widest > 70:
        return str(whole), False
    # Down the left column, then down the right; y grows upwards.
    ordered = [sorted(side, key=lambda piece: -piece[1]) for side in (left, right)]
    return "\n".join(re.sub(r"\s+$", "", text) for side in ordered for _, _, text in side), True
