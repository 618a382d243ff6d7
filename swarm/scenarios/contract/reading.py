"""Reads a contract's file as text: txt, md, docx, and pdf with text. What is no readable contract is refused by name.

What was odd about a file is kept as remarks, which the report shows: nothing is mended in silence.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swarm.scenarios.contract.clauses import Structure

MOST_BYTES, MOST_CHARACTERS = 50 << 20, 2_000_000
FEWEST_LETTERS, SHORT = 100, 2_000
"""Fewer letters are no contract; below so many characters it may be a part of one."""

FEWEST_LETTERS_A_PAGE = 40
MOST_UNPACKED = 200 << 20
"""What a Word file may unpack to."""

MOST_ACCENTED, LEAST_ENGLISH = 0.25, 0.12
"""Shares of letters, and of words: of 500 contracts in English one had less, and half of them 0.35 and more."""

_COMMONEST = frozenset(
    ["the", "of", "and", "to", "in", "or", "any", "by", "be", "for", "that", "this", "is", "with", "on", "such", "as"]
)
_WORDS = re.compile(r"[^\W\d_]+")
_PARTED = re.compile(r"(?<=[a-z]{2})-[ \t]*\n[ \t]*(?=[a-z]{2})")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_WIDE_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_OTHERS = (
    (b"{\\rtf", "rich text (RTF)"),
    (b"%pdf-", "a PDF"),
    (b"pk\x03\x04", "a packed file, such as Word's"),
    (b"\xd0\xcf\x11\xe0", "an old Word file"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_LEFT_OUT = frozenset(
    (f"{_WORD}del", f"{_WORD}moveFrom", "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback")
)


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
    # Such a name can stand in no config, table or report.
    if not str(path).isascii() and str(path) != str(path).encode("utf-8", errors="ignore").decode("utf-8"):
        raise ContractError(f"{path.name!a}: its name or its folder's is not UTF-8; rename it")
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
    # What nobody sees would part words and hide them from rules; spaces of any width are spaces.
    unseen = len(_UNSEEN.findall(text))
    text = _WIDE_SPACE.sub(" ", _UNSEEN.sub("", text))
    letters = sum(map(str.isalpha, text))
    if letters < FEWEST_LETTERS:
        raise ContractError(f"{name}: it has {letters} letters, and no contract has so few; is it the right file?")
    if len(text) > MOST_CHARACTERS:
        raise ContractError(
            f"{name}: {len(text):,} characters, over {MOST_CHARACTERS:,}; give its parts as several contracts"
        )
    # Remarks say what was read and what was not; none of them stops a review.
    found = list(remarks)
    if unseen:
        found.append(f"{unseen:,} characters that cannot be seen, such as soft hyphens, are left out")
    if not _english(text):
        found.append("little of it is English, which is all that our rules know: what is missing may stand there")
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


def _english(text: str) -> bool:
    """Tells whether as many words of a text are the commonest of English as in any contract in it."""
    words = _WORDS.findall(text.lower())
    return sum(word in _COMMONEST for word in words) >= LEAST_ENGLISH * len(words)


def _plain(content: bytes) -> tuple[str, list[str]]:
    """Returns text as UTF-8 has it, or else as Windows' western code page has it."""
    start = content[:4_096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if kind := next((kind for mark, kind in _OTHERS if start.startswith(mark)), None):
        raise ContractError(f"this is {kind} and no plain text; save it as text")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace"), []
    # Text has no zero bytes, unless it is UTF-16 and says so.
    if b"\x00" in content[:4_096]:
        raise ContractError("this is no text, or UTF-16 without its mark; name its true ending, or save it as UTF-8")
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    # A text of another code page becomes accented letters in this one.
    letters = [char for char in text if char.isalpha() or char == "\ufffd"]
    if sum(not char.isascii() for char in letters) > MOST_ACCENTED * len(letters):
        raise ContractError("its encoding is neither UTF-8 nor Windows-1252; save it as UTF-8")
    return text, ["it is not UTF-8, and was read as Windows-1252"]


def _needs(package: str, module: str) -> None:
    if find_spec(module) is None:
        raise ContractError(f"{package} is not installed, which reads such files; install the extra `contracts`")


def _docx(content: bytes) -> tuple[str, list[str]]:
    """Returns the paragraphs of a Word file: insertions as accepted, deletions left out, both counted."""
    _needs("python-docx", "docx")
    import docx

    try:
        # Such a file says what it unpacks to, and no more than that is unpacked.
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > MOST_UNPACKED:
            raise ContractError(f"it unpacks to {size >> 20:,} MiB, over {MOST_UNPACKED >> 20}; take pictures out")
        file: Any = docx.Document(io.BytesIO(content))
        parts = [file.element.body, *_notes(file)]
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(f"no Word file can be read here ({type(error).__name__}); save it anew") from error
    # Moved text stands there twice, as a deletion and as an insertion.
    inserted, deleted = (
        sum(1 for part in parts for mark in marks for _ in part.iter(f"{_WORD}{mark}"))
        for marks in (("ins", "moveTo"), ("del", "moveFrom"))
    )
    lines = [
        "".join(_runs(paragraph)) for part in parts for paragraph in part.iter(f"{_WORD}p") if not _left_out(paragraph)
    ]
    remarks = []
    if len(parts) > 1:
        remarks.append("its notes are read behind its text")
    if inserted or deleted:
        remarks.append(
            f"it has tracked changes: {inserted} insertions are read as accepted, {deleted} deletions are left out"
        )
    return "\n\n".join(line for line in lines if line.strip()), remarks


def _notes(file: Any) -> list[Any]:
    """Returns the parts of a Word file with its footnotes and endnotes."""
    from docx.oxml import parse_xml

    kinds = ("/footnotes", "/endnotes")
    parts = [relation.target_part for relation in file.part.rels.values() if relation.reltype.endswith(kinds)]
    found = [parse_xml(part.blob) for part in parts]
    # Word keeps notes without text for the line that parts notes from the page.
    return [one for one in found if any(node.text for node in one.iter(f"{_WORD}t"))]


def _left_out(node: Any) -> bool:
    """Tells whether an element stands in what was deleted or moved away, or is shown to older programs instead."""
    return any(above.tag in _LEFT_OUT for above in node.iterancestors())


def _runs(node: Any) -> Iterator[str]:
    """Yields what a paragraph says, in order; a paragraph within it, as text boxes have, says its own."""
    for child in node:
        if child.tag not in _LEFT_OUT and child.tag != f"{_WORD}p":
            yield _run(child)
            yield from _runs(child)


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

    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ContractError("it is locked by a password; save it without one")
        pages = [_page(page) for page in reader.pages]
    except ContractError:
        raise
    except Exception as error:
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
    text, parted = _PARTED.subn("", "\n\n".join(text for text, _ in pages))
    if parted:
        remarks.append(f"{parted} words that were parted at the ends of lines are read as one")
    return text, remarks


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
