"""Reads the cells of a text in CSV, each row with the line that it stands in; what is no such text is refused.

It knows no column: networks (`table`) and demand (`series`) are read from these rows.
"""

import csv
import io
import re

_WHOLE = re.compile(r"[+-]?[0-9]{1,1000}")
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class CellsError(ValueError):
    """A text that has no rows of cells; `row` is the line that is wrong, or None where the whole text is."""

    def __init__(self, row: int | None, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.row, self.what, self.remedy = row, what, remedy


def read_cells(text: str) -> list[tuple[int, list[str]]]:
    """Returns the rows that hold anything, the first one first: the number of the line, from 1, and its cells."""
    # A file that no editor shows is told apart from one that is written otherwise.
    if text.startswith("PK\x03\x04") or "\x00" in text:
        raise CellsError(
            None, "expected text, got a spreadsheet's own file or another encoding", "save it as CSV UTF-8"
        )
    # Spreadsheets begin a file with a mark of its encoding, and some end lines with a carriage return alone.
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    read = csv.reader(io.StringIO(plain), skipinitialspace=True, strict=True)
    found: list[tuple[int, list[str]]] = []
    number = 1
    try:
        for cells in read:
            trimmed = [cell.strip() for cell in cells]
            if any("\n" in cell for cell in trimmed):
                raise CellsError(number, "a cell goes over several lines", "close its quotation mark")
            if any(trimmed):
                found.append((number, trimmed))
            number = read.line_num + 1
    except csv.Error as error:
        raise CellsError(
            number, f"this is no row of cells ({error})", "quote a cell as a whole, or not at all"
        ) from None
    # Nobody names a column with a semicolon in it.
    for separator, name in _OTHER_SEPARATORS.items():
        if found and len(found[0][1]) == 1 and separator in found[0][1][0]:
            raise CellsError(found[0][0], f"its cells are separated by {name}", "separate them by commas")
    return found


def whole(text: str) -> int | None:
    """Returns the whole number in a cell, of at most 1,000 digits; None where it holds another thing."""
    return int(text) if _WHOLE.fullmatch(text) else None
