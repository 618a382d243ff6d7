"""What payers write beside a payment: templates by what it is for, in several languages, and none for most cards."""

import numpy as np
import polars as pl

from swarm.scenarios.fraud.payments import Int64
from swarm.seeding import draw_below

TEXTS: tuple[tuple[str, ...], ...] = (
    ("", "", "purchase", "weekly shop"),
    ("", "ticket", "coffee"),
    ("rent", "Miete", "loyer", "alquiler"),
    ("power", "Strom", "electricity and heating", "luz"),
    ("wages", "salary", "Lohn", "salaire"),
    ("dinner", "thanks!", "for yesterday", "Geschenk", "merci"),
    ("withdrawal", ""),
    ("paid in", ""),
    ("invoice", "invoice as agreed", "Rechnung", "facture"),
    ("takings", ""),
    ("day's work", "helping out", "Aushilfe"),
    ("for the present", "birthday", "club fee"),
    ("savings circle", "our circle"),
    ("loan paid out", "credit"),
    ("car", "kitchen", "deposit on the flat", "repairs"),
    ("journey", "hotel", "flights"),
)
"""By number of what a payment is for."""

TAKEOVER, DEPOSIT, FORWARD, SPLIT, ROUND, TINY, BILL, THROUGH = 15, 7, 5, 10, 14, 0, 8, 14
"""What fraud says of itself: what lawful payments of its look say."""


def texts(seed: int, code: Int64) -> pl.Series:
    """Returns [payments] memos for what the payments are for."""
    longest = max(map(len, TEXTS))
    # [codes * longest] texts, each code's own repeated, so that one gather makes all memos.
    flat = pl.Series([own[i % len(own)] for own in TEXTS for i in range(longest)])
    # Drawn by the place in time, so that memos are those of the seed.
    picked = draw_below(seed, "fraud memo", longest, np.arange(len(code)))
    return flat.gather(pl.Series(code * longest + picked))
