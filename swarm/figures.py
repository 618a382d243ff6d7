"""Tells numbers to a few digits in words that everybody reads: never as a power of ten where they are large."""


def figure(value: float, digits: int = 3, form: str = "") -> str:
    """Returns a number to so many digits, and as a whole number where it has more before its point.

    `form` is what stands first in a format's specification: `+` for a sign, `,` for thousands.
    """
    # What rounds up to another digit has it, too.
    return f"{value:{form}.{digits}g}" if abs(value) < 10**digits - 0.5 else f"{value:{form}.0f}"
