"""Which figures and tables a report has and how each is read; their looks are `charts`', their layout the page's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from swarm.simulation.measures import MEANINGS
from swarm.simulation.record import RunRecord
from swarm.simulation.report import aggregates, charts, wording
from swarm.simulation.report.charts import Panel, Rows
from swarm.simulation.report.wording import count, pebbles, plain

TRACES, TRACE_STEPS, TRACE_CHARS = 4, 10, 220
"""How many turns at desks are shown, how many steps of each, and how many characters of a text."""

PANELS = 12
"""Most goods or kinds with a panel of their own."""


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a figure's colour key; `look` is a class of the page: line, band, block and others."""

    label: str
    colour: str
    look: str = "line"


@dataclass(frozen=True, slots=True)
class Figure:
    """Panels that are read alike, under one title and one sentence that says how."""

    title: str
    caption: str
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...] = ()
    layout: Literal["wide", "grid", "half"] = "wide"
    by_model: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; the columns that are not among `words` hold numbers."""

    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)
    by_model: bool = False
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    key: str
    title: str
    parts: tuple[Figure | Table, ...]


def sections(record: RunRecord) -> list[Section]:
    """All that the run has to show: without a finished round, only that nothing was lost."""
    summary = record.summary
    found: list[Section] = []
    if summary["rounds"]:
        found += [Section("prices", "Prices", prices(record)), Section("volume", "Volume", volumes(record))]
        if summary.get("regions"):
            found.insert(0, Section("regions", "Regions", regions(record)))
        found.append(Section("wealth", "Wealth", wealth(record)))
        if aggregates.has_mood(record):
            found.append(Section("mood", "Mood", mood(record)))
        if not record.tables["trades"].is_empty():
            found.append(Section("trade", "Who traded with whom", trade(record)))
        if "quality" in summary:
            found.append(Section("quality", "Market quality", (market_quality(summary),)))
        found += [
            Section("profit", "Profit", profit(record)),
            Section("decisions", "Decisions", decisions(record)),
            *([Section("desks", "Desks", desks(record))] if summary.get("desks") else []),
            Section("cost", "Tokens and time", cost(record)),
        ]
    found.append(Section("conservation", "Conservation", (conservation(summary),)))
    return found


def shared_data(record: RunRecord) -> dict[str, Rows]:
    """The data sets that all charts may name."""
    summary = record.summary
    return {
        "shocks": charts.shock_marks(summary["shocks"], summary["rounds"]),
        "seasons": charts.season_marks(aggregates.seasons(record).to_dicts()),
        "zero": [{"zero": 0}],
    }


def shock_list(summary: wording.Summary) -> list[tuple[int, str, str]]:
    """(number, title, what and when) of each shock."""
    listed = []
    for number, shock in enumerate(summary["shocks"], start=1):
        first, last = shock["first_round"], shock["last_round"]
        when = f"rounds {count(first)} to {count(last)}" if last > first else f"round {count(first)}"
        reached = "" if first <= summary["rounds"] else ", not reached"
        listed.append((number, shock["title"], f"{shock['good']}, {when}{reached}"))
    return listed


def thinned(record: RunRecord) -> list[str]:
    """What the page shows less of than the tables hold, in sentences."""
    summary, said = record.summary, []
    size = aggregates.pace(summary["rounds"], len(summary["goods"])).size
    if size > 1:
        said.append(
            f"To keep the page small, each point or bar of prices and volumes stands for {count(size)} rounds: prices "
            "are means by volume, lots are means per round. Lines of wealth and mood go through some of the rounds."
        )
    if (every := summary.get("traders_table_every_rounds", 1)) > 1:
        said.append(f"Wealth and mood were kept every {count(every)} rounds and at the end.")
    if summary["traders"] > aggregates.SAMPLED_TRADERS:
        shown = -(-summary["traders"] // -(-summary["traders"] // aggregates.SAMPLED_TRADERS))
        said.append(
            f"The dots of profits are {count(shown)} of {count(summary['traders'])} traders; boxes and tables are made "
            "from all."
        )
    for noun, names in (("goods", summary["goods"]), ("kinds", summary["kinds"])):
        if len(names) > PANELS:
            said.append(f"Panels of their own have the first {PANELS} of {count(len(names))} {noun}.")
    return said


def regions(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Prices of the regions side by side, how far they lie apart, what each came to, and what was on the road."""
    summary = record.summary
    told, goods, last = summary["regions"], summary["goods"], summary["rounds"]
    names = told["names"]
    frame = aggregates.region_prices(record)
    spec = charts.region_price(names, last)
    apart = aggregates.dispersion(record)
    mean = apart.group_by("round", maintain_order=True).agg(pl.col("percent").mean().round(2))
    spread = {"rows": aggregates.rows(apart), "mean": aggregates.rows(mean)}
    of: dict[str, dict[str, Any]] = told["of"]
    return (
        Figure(
            "Price of every good, region by region",
            "A line is a region's reference price after the round; where lines draw together, goods that travel have "
            "made one price of several.",
            tuple(
                Panel(good, 150, spec, {"rows": aggregates.rows(frame.filter(pl.col("good") == good))})
                for good in goods[:PANELS]
            ),
            _good_keys(names),
            "grid",
        ),
        Figure(
            "Dispersion of prices over regions",
            "The standard deviation of a good's price over regions, in percent of its mean: 0 is one price everywhere. "
            "The thick line is the mean of all goods.",
            (Panel("Dispersion of prices", 240, charts.dispersion(goods, last), spread),),
            (*_good_keys(goods), Key("mean of all goods", "var(--ink)")),
        ),
        Table(
            "What each region came to",
            "Guests live in another region and have a seat in this market, too. What is unexplained, of all assets, "
            "must be 0.",
            ("region", "live here", "guests", "trades", "lots traded", "decision errors", "late", "unexplained"),
            tuple(
                (
                    name,
                    count(own["live_here"]),
                    count(own["guests"]),
                    count(own["trades"]),
                    count(own["volume_lots"]),
                    count(sum(own["decision_errors"].values())),
                    count(own["late_turns"]),
                    count(sum(abs(flow["unexplained"]) for flow in own["conservation"].values())),
                )
                for name, own in of.items()
            ),
        ),
        _road_table(record),
    )


def _road_table(record: RunRecord) -> Table:
    told = record.summary["regions"]
    of: dict[str, dict[str, Any]] = told["of"]
    rows = tuple(
        (
            f"{row['asset']} ({'cents' if row['asset'] == 'cash' else 'lots'})",
            count(row["left"]),
            count(row["arrived"]),
            count(row["under_way"]),
            *(count(own["road"][row["asset"]]) for own in of.values()),
            count(sum(own["road"][row["asset"]] for own in of.values())),
            count(row["toll"]),
        )
        for row in aggregates.traffic(record).to_dicts()
    )
    return Table(
        "What travelled",
        "Each market has an account for the road, which is below 0 where more came than left. All of them together "
        "must hold what is under way, and the run would have stopped after the first round in which they did not.",
        ("asset", "left", "arrived", "under way", *(f"road of {name}" for name in of), "of all", "tolls"),
        rows,
        empty="None: there are no travellers.",
    )


def _of_regions(summary: wording.Summary) -> str:
    """What stands under figures that put several regions together; nothing where there is one market."""
    return " Shown are means over regions, of clearing prices by volume." if summary.get("regions") else ""


def prices(record: RunRecord) -> tuple[Figure, ...]:
    """Clearing prices of all goods, then each good's with its reference price."""
    summary = record.summary
    goods, last = summary["goods"], summary["rounds"]
    marks = shared_data(record)["shocks"]
    frame, _ = aggregates.prices(record)
    columns = ("round", "good", "clearing", "reference", "volume")
    rows = aggregates.rows(frame, *columns)
    one_price = charts.one_price(goods, last)
    return (
        Figure(
            "Clearing price of every good",
            "All of a round's trades in a good are made at one price, its line; it breaks where nobody traded."
            + _of_regions(summary),
            (Panel("Clearing prices", 300, charts.all_prices(goods, last, marks), {"rows": rows}),),
            _good_keys(goods),
        ),
        Figure(
            "Clearing and reference price, good by good",
            "Reference prices (dashes) are the market's after the round; each panel has a scale of its own."
            + _of_regions(summary),
            tuple(Panel(good, 150, one_price, {"rows": own}) for good, own in charts.by_good(rows, goods[:PANELS])),
            (Key("clearing price", "var(--ink)"), Key("reference price", "var(--muted)", "dashed")),
            "grid",
        ),
    )


def volumes(record: RunRecord) -> tuple[Figure, ...]:
    """Lots traded per round, and what was wanted or offered in vain."""
    summary = record.summary
    goods, last = summary["goods"], summary["rounds"]
    marks = shared_data(record)["shocks"]
    frame, _ = aggregates.prices(record)
    stacked = aggregates.stacked(frame.filter(pl.col("volume") > 0), "volume", ["round"])
    bars = aggregates.rows(stacked, "round", "from", "to", "good", "volume", "y0", "y1")
    unmet = aggregates.rows(frame, "round", "from", "to", "good", "demand", "supply")
    unfilled = charts.unfilled(goods, last)
    return (
        Figure(
            "Lots traded",
            "The height of a bar is the round's volume, and each colour in it one good's share.",
            (Panel("Volume", 220, charts.volume(goods, last, marks), {"rows": bars}),),
            _good_keys(goods, "block"),
        ),
        Figure(
            "Unfilled demand and supply, good by good",
            "Above the line are lots that were bid for and not bought, below it lots that were offered and not sold, "
            "whatever their limits.",
            tuple(Panel(good, 140, unfilled, {"rows": own}) for good, own in charts.by_good(unmet, goods[:PANELS])),
            (
                Key("unfilled demand, upwards", "var(--ink)", "block"),
                Key("unfilled supply, downwards", "var(--ink)", "pale"),
            ),
            "grid",
        ),
    )


SPREAD_KEYS = (Key("median", charts.FIRST), Key("10% to 90% of traders", charts.FIRST, "band"))
COMPARED_KEYS = (*SPREAD_KEYS, Key("median of everybody", "var(--muted)", "dashed"))


def wealth(record: RunRecord) -> tuple[Figure, ...]:
    """Wealth of everybody, its Gini coefficient, and wealth by kind."""
    last = record.summary["rounds"]
    title, pattern = "wealth (pebbles)", ",.4~r"
    everyone = aggregates.rows(aggregates.spread(record, "wealth_cents", aggregates.CENTS))
    spec = charts.spread_over_rounds(last, title, pattern, height=240)
    gini = aggregates.rows(aggregates.wealth_gini(record))
    return (
        Figure(
            "Wealth of everybody",
            "Wealth is cash and stock at reference prices; half of the traders have more than the line says."
            + (" Stock is valued at the mean price over regions." if record.summary.get("regions") else ""),
            (Panel("Wealth", 240, spec, {"rows": everyone}),),
            SPREAD_KEYS,
            "half",
        ),
        Figure(
            "Inequality of wealth",
            "0 means that all have the same, 1 that one has all; a rising line means that few pull away.",
            (Panel("Gini coefficient", 240, charts.gini(last), {"rows": gini}),),
            (Key("Gini coefficient", charts.FIRST),),
            "half",
        ),
        _by_kind(record, "Wealth by kind", "wealth_cents", aggregates.CENTS, title, pattern, everyone),
    )


def mood(record: RunRecord) -> tuple[Figure, ...]:
    """Moods of everybody and by kind."""
    last = record.summary["rounds"]
    title, pattern = "mood (0 to 100)", ",.3~r"
    everyone = aggregates.rows(aggregates.spread(record, "mood_permille", 10))
    spec = charts.spread_over_rounds(last, title, pattern, height=200)
    return (
        Figure(
            "Mood of everybody",
            "How well traders fare by the scenario's own reckoning, from 0 to 100; half of them are above the line.",
            (Panel("Mood", 200, spec, {"rows": everyone}),),
            SPREAD_KEYS,
        ),
        _by_kind(record, "Mood by kind", "mood_permille", 10, title, pattern, everyone),
    )


def _by_kind(
    record: RunRecord, heading: str, column: str, divisor: int, title: str, pattern: str, everyone: Rows
) -> Figure:
    found = aggregates.rows(aggregates.spread(record, column, divisor, ("kind",)))
    top = max(row["high"] for row in found)
    spec = charts.spread_over_rounds(record.summary["rounds"], title, pattern, height=150, compared=True, top=top)
    middle = [{"round": row["round"], "median": row["median"]} for row in everyone]
    return Figure(
        heading,
        "Each panel is one kind of trader, all to one scale: above the dashes it fares better than the middle of all.",
        tuple(
            Panel(kind, 150, spec, {"rows": [row for row in found if row["kind"] == kind], "everyone": middle})
            for kind in record.summary["kinds"][:PANELS]
        ),
        COMPARED_KEYS,
        "grid",
    )


def market_quality(summary: wording.Summary) -> Table:
    """The measures that economists judge markets by, for the market and for each good."""
    goods = summary["goods"][:PANELS]

    def shown(value: float | None) -> str:
        if value is None:
            return "cannot be told"
        return count(value) if isinstance(value, int) else f"{value:.3f}"

    rows = []
    for name, found in summary["quality"].items():
        by_good = found.get("by_good")
        of_goods = [shown(by_good.get(good)) if by_good is not None else "" for good in goods]
        rows.append((plain(name), shown(found["market"]), *of_goods, MEANINGS[name]))
    return Table(
        "Measures of the market",
        "Of the whole run; for the market, the mean of its goods by volume. Few returns have no tail that can be told, "
        "and gains from trade are known where the scenario says what each trade is worth.",
        ("measure", "market", *goods, "what it says"),
        tuple(rows),
        words=(0, len(goods) + 2),
    )


def trade(record: RunRecord) -> tuple[Figure, ...]:
    """What each kind, and each mind, sold to each."""
    summary = record.summary
    figures = []
    for by, noun, names in (("kind", "kind", summary["kinds"]), ("mind", "model", sorted(summary["minds"]))):
        rows = aggregates.rows(aggregates.traded_value(record, by))
        largest = max(row["value"] for row in rows)
        spec = charts.who_with_whom(names, noun, largest)
        figures.append(
            Figure(
                f"Value traded by {noun}",
                f"A row is what that {noun} sold, and to whom; the stronger a field, the more it was worth, in "
                "pebbles.",
                (Panel(f"Value traded by {noun}", spec["height"], spec, {"rows": rows}),),
                layout="half",
                by_model=by == "mind",
            )
        )
    return tuple(figures)


def profit(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Profits by model and by kind, with all of their spread."""
    summary = record.summary
    found = aggregates.profits(record)
    read = (
        "A dot is a trader, the thick mark the median, the box the middle half, the thin line 10% to 90%; right of the "
        "dashes is gain."
    )
    keys = (
        Key("a trader", charts.FIRST, "dot"),
        Key("median", "var(--ink)", "tick"),
        Key("middle half", charts.FIRST, "band"),
        Key("10% to 90%", "var(--ink)", "thin"),
    )
    figures = []
    for by, noun in (("mind", "model"), ("kind", "kind")):
        boxes, dots = aggregates.boxes(found, by), aggregates.dots(found, by)
        shown = {group: wording.mind_label(summary, group) if by == "mind" else group for group in boxes["group"]}
        data = {
            "boxes": [{**row, "label": shown[row["group"]]} for row in boxes.to_dicts()],
            "dots": [{**row, "label": shown[row["group"]]} for row in dots.to_dicts()],
        }
        spec = charts.profit(list(shown.values()), noun)
        panel = Panel(f"Profit by {noun}", spec["height"], spec, data)
        figures.append(Figure(f"Profit by {noun}", read, (panel,), keys, "half", by == "mind"))
    return (*figures, _profit_table(record, found))


def _profit_table(record: RunRecord, found: pl.DataFrame) -> Table:
    summary = record.summary
    kinds = [kind for kind in summary["kinds"][:PANELS] if kind in set(found["kind"])]
    cells = {
        (mind, kind): (middle, n)
        for mind, kind, middle, n in found.group_by("mind", "kind").agg(pl.col("profit").median(), pl.len()).iter_rows()
    }
    rows = []
    for row in aggregates.boxes(found, "mind").to_dicts():
        mind = row["group"]
        of_kinds = (cells.get((mind, kind)) for kind in kinds)
        rows.append(
            (
                mind,
                wording.nature(summary, mind),
                count(row["traders"]),
                pebbles(row["mean"]),
                pebbles(row["median"]),
                f"{pebbles(row['low'])} to {pebbles(row['high'])}",
                *(f"{pebbles(cell[0])} ({count(cell[1])})" if cell else "none" for cell in of_kinds),
            )
        )
    return Table(
        "Profit by model and kind, in pebbles",
        f"Profit is wealth after round {count(_last_kept(record))} less wealth at the start; for each kind, the "
        "median and, in brackets, the number of traders.",
        ("model", "what it is", "traders", "mean", "median", "10% to 90%", *kinds),
        tuple(rows),
        words=(0, 1),
        by_model=True,
    )


def decisions(record: RunRecord) -> tuple[Table, ...]:
    """Errors of decisions by model, and what else went amiss."""
    summary = record.summary
    errors = aggregates.errors_by_mind(record)
    turns = {row["mind"]: row["turns"] for row in aggregates.turns_by_mind(record).to_dicts()}
    kinds = sorted({kind for found in errors.values() for kind in found})
    rows = []
    for mind in sorted(turns):
        found = errors.get(mind, {})
        share = f"{sum(found.values()) / turns[mind]:.1%}" if found else "none"
        counts = (count(found[kind]) if kind in found else "none" for kind in kinds)
        rows.append((mind, wording.nature(summary, mind), count(turns[mind]), share, *counts))
    lost, rejections = summary.get("lost", {}), summary["order_rejections"]
    repairs = summary.get("repaired_replies", {})
    amiss = (
        ("repairs to replies that could then be read", count(sum(repairs.values())), wording.listed(repairs)),
        ("orders rejected by the market", count(sum(rejections.values())), wording.listed(rejections)),
        *_left_the_book(summary),
        (
            "messages pruned",
            count(sum(summary["pruned_messages"].values())),
            wording.pruning(summary),
        ),
        ("late turns", count(wording.late_turns(summary)), wording.listed(summary.get("late_turns_by_mind", {}))),
        ("lost to failures", count(sum(lost.values())), wording.listed(lost)),
    )
    return (
        Table(
            "Decision errors by model",
            "An answer that cannot be used is an error of its kind, and its trader passes the round.",
            ("model", "what it is", "turns", "with an error", *map(plain, kinds)),
            tuple(rows),
            words=(0, 1),
            by_model=True,
            empty="None: nobody was prompted, since baseline rules decide without text.",
        ),
        Table(
            "What else went amiss",
            "How often each happened, and for what reason.",
            ("what", "times", "reasons"),
            amiss,
            (0, 2),
        ),
        *_attention(summary),
        *_budget(summary),
    )


_DUE = {
    "first": "it had not decided yet",
    "undecided": "it was to think before and could not",
    "over": "its decision stood no longer",
    "fill": "one of its orders was filled",
    "need": "it ran out of what it needs",
    "price": "a price moved",
    "message": "a message reached it",
}


def _attention(summary: wording.Summary) -> tuple[Table, ...]:
    """Why traders were asked, and what stood for those who were not; nothing where everybody is always asked."""
    found = summary.get("attention", {})
    if not found.get("due"):
        return ()
    whole = found["asked"] + found["asleep"] + found["held_back"]
    rows = [(f"due: {words}", count(found["due"][reason])) for reason, words in _DUE.items() if reason in found["due"]]
    rows += [
        ("asked", count(found["asked"])),
        ("held back for the run's budget", count(found["held_back"])),
        ("asleep, with nothing to decide", count(found["asleep"])),
        ("standing orders put in for those who did not decide", count(found["standing_orders"])),
        ("lots cut off them, which their traders did not have", count(found["cut_lots"])),
        ("standing orders refused by the market", count(found["refused_orders"])),
        ("messages left undelivered for the run's budget", count(found["unheard"])),
    ]
    return (
        Table(
            "Who was asked, and why",
            f"Of {count(whole)} turns that traders with a model could have taken, {found['asked'] / whole:.0%} were; "
            "who is due is counted under the first reason that holds. Prompts that are the same for several traders "
            f"are asked once, which saved {count(summary['tokens'].get('shared_prompt', 0))} prompt tokens.",
            ("what", "times"),
            tuple(rows),
        ),
    )


_LEVELS = {
    "all": "everybody who is due is asked",
    "fewer": "fewer are woken",
    "shorter": "they hear and look back on less",
    "cheaper": "they are asked at the cheapest model of their form",
    "standing_only": "nobody is asked, standing orders only",
}


def _budget(summary: wording.Summary) -> tuple[Table, ...]:
    """What the run's budget made it give up, and when; nothing for a run without one."""
    found = summary.get("budget", {})
    limits = {key: found[key] for key in ("run_tokens", "run_usd", "seconds_per_round") if found.get(key)}
    if not limits:
        return ()
    changes = ", ".join(
        f"{plain(level)} from round {count(round_)}" for round_, level in found["changes_of_level"][:20]
    )
    more = len(found["changes_of_level"]) - 20
    told = {
        "run_tokens": f"{count(found['spent_tokens'])} of {count(found['run_tokens'] or 0)} tokens",
        "run_usd": f"{found['spent_usd']:.4f} of {found['run_usd'] or 0:.4f} US dollars",
        "seconds_per_round": f"rounds of at most {found['seconds_per_round'] or 0:g} seconds of decisions",
    }
    return (
        Table(
            "What the run's budget did",
            f"Limits: {'; '.join(told[key] for key in limits)}. Each level includes those before it. Changes: "
            f"{changes or 'none'}{f' and {count(more)} more' if more > 0 else ''}.",
            ("level", "what is given up", "rounds"),
            tuple(
                (plain(level), words, count(found["rounds_at_level"].get(level, 0))) for level, words in _LEVELS.items()
            ),
            words=(0, 1),
        ),
    )


def _left_the_book(summary: wording.Summary) -> list[tuple[str, str, str]]:
    """What left the books before it was filled, where orders stay there from round to round."""
    left = {reason: times for reason, times in summary.get("resting_orders", {}).items() if reason != "resting"}
    if not left:
        return []
    return [("orders that left the book unfilled", count(sum(left.values())), wording.listed(left))]


def desks(record: RunRecord) -> tuple[Table, ...]:
    """What turns at desks took, and how the last of them went, step by step."""
    summary, errors = record.summary, aggregates.errors_by_mind(record)
    taken = []
    for name, desk in summary["desks"].items():
        steps, tokens = desk["steps"], desk["tokens"]
        taken.append(
            (
                name,
                wording.nature(summary, name),
                desk["model"],
                count(desk["turns"]),
                f"{steps['mean']:.1f}",
                f"{count(steps['max'])} of {count(steps['bound'])}",
                count(tokens["mean"]),
                f"{count(tokens['max'])} of {count(tokens['budget'])}",
                wording.listed(errors.get(name, {})),
                wording.listed(desk["faults"]),
            )
        )
    head = ("desk", "what it is", "model", "turns", "steps", "most", "tokens", "most", "turns lost", "faults of steps")
    went = []
    for trace in aggregates.traces(record, TRACES):
        for step in trace[:TRACE_STEPS]:
            result = step["result"].partition("\n")[2] or step["result"]
            who = (count(step["round"]), f"{step['desk']}, trader {step['trader']}") if step is trace[0] else ("", "")
            went.append(
                (
                    *who,
                    str(step["step"]),
                    wording.shortened(step["reply"], TRACE_CHARS),
                    wording.shortened(result.replace("\n| ", " / ").removeprefix("| "), TRACE_CHARS),
                    plain(step["fault"]) or "none",
                )
            )
    return (
        Table(
            "Turns at desks",
            "A turn is several calls of a model; its steps and the tokens of all of them have bounds of their own. A "
            "turn that does not come to its end is lost, and faults of single steps may have been mended.",
            head,
            tuple(taken),
            words=(0, 1, 2, 8, 9),
            by_model=True,
        ),
        Table(
            "Traces of the last turns at desks",
            "Each step is what the model, or the policy in its place, wrote and what came back to it; the journal has "
            "all of them in full.",
            ("round", "desk", "step", "reply", "what came back", "fault"),
            tuple(went),
            words=(1, 3, 4, 5),
            empty="None: no desk has taken a turn.",
        ),
    )


def cost(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Tokens and latency by model, and seconds per round."""
    return (*_turn_parts(record), _round_figure(record))


def _turn_parts(record: RunRecord) -> tuple[Figure | Table, ...]:
    summary = record.summary
    turns = [row for row in aggregates.turns_by_mind(record).to_dicts() if row["mind"] not in summary.get("desks", {})]
    if not turns:
        return ()
    labels = [wording.mind_label(summary, row["mind"]) for row in turns]
    budget = summary["tokens"]["per_turn"]["budget"]
    bars: Rows = []
    for row, label in zip(turns, labels, strict=True):
        ends = {"prompt": (0, row["prompt"]), "completion": (row["prompt"], row["prompt"] + row["completion"])}
        bars += [
            {"mind": row["mind"], "label": label, "part": part, "tokens": row[part], "y0": low, "y1": high}
            for part, (low, high) in ends.items()
        ]
    data = {
        "rows": bars,
        "most": [
            {"mind": row["mind"], "label": label, "most": row["most"]} for row, label in zip(turns, labels, strict=True)
        ],
        "budget": [{"budget": budget}],
    }
    unit, factor = _time_unit(max(row["p95"] for row in turns))
    delays = [
        {"mind": row["mind"], "label": label, "p50": row["p50"] * factor, "p95": row["p95"] * factor}
        for row, label in zip(turns, labels, strict=True)
    ]
    tokens, delay = charts.tokens(labels, budget), charts.latency(labels, unit)
    return (
        Figure(
            "Tokens per turn by model",
            "A bar is the mean turn, prompt and completion; the mark is the largest turn, and none may pass the budget"
            + (" (token counts are estimates)." if summary["tokens"].get("counted_by") == "estimate" else "."),
            (Panel("Tokens per turn", tokens["height"], tokens, data),),
            (
                Key("prompt", charts.FIRST, "block"),
                Key("completion", charts.SECOND, "block"),
                Key("largest turn", "var(--ink)", "tick"),
                Key("budget", "var(--bad)", "dashed"),
            ),
            "half",
            by_model=True,
        ),
        Figure(
            "Latency of a turn by model",
            "Half of the turns took no longer than the full dot says, and 95 of 100 no longer than the ring.",
            (Panel("Latency", delay["height"], delay, {"rows": delays}),),
            (Key("p50", charts.FIRST, "dot"), Key("p95", charts.FIRST, "ring")),
            "half",
            by_model=True,
        ),
        _turn_table(summary, turns),
    )


def _turn_table(summary: wording.Summary, turns: Rows) -> Table:
    return Table(
        "Tokens and latency by model",
        "Means over all turns of the run, the largest turn, and the latency of a turn.",
        ("model", "what it is", "turns", "prompt", "completion", "largest turn", "p50", "p95"),
        tuple(
            (
                row["mind"],
                wording.nature(summary, row["mind"]),
                count(row["turns"]),
                f"{row['prompt']:,.1f}",
                f"{row['completion']:,.1f}",
                count(row["most"]),
                wording.seconds(row["p50"]),
                wording.seconds(row["p95"]),
            )
            for row in turns
        ),
        words=(0, 1),
        by_model=True,
    )


def _round_figure(record: RunRecord) -> Figure:
    frame, _ = aggregates.round_seconds(record)
    unit, factor = _time_unit(record.summary["seconds_per_round"]["p95"])
    timed = frame.with_columns((pl.col("seconds") * factor).round(4).alias("time"))
    # Sorted so that deciding, the longest part, lies at the bottom of each bar.
    order = pl.col("part").replace_strict({"decide": 0, "clear": 1, "rest": 2})
    bars = aggregates.stacked(timed.sort("round", order), "time", ["round"])
    return Figure(
        "Where the time of a round goes",
        "Deciding is all of prompting and waiting for answers, clearing is the auction and its settlement, the rest is "
        "what the scenario and the journal take.",
        (
            Panel(
                "Time per round",
                220,
                charts.round_time(record.summary["rounds"], unit),
                {"rows": aggregates.rows(bars, "round", "from", "to", "part", "time", "y0", "y1")},
            ),
        ),
        (
            Key("decide", charts.FIRST, "block"),
            Key("clear", charts.SECOND, "block"),
            Key("rest", charts.THIRD, "block"),
        ),
    )


def conservation(summary: wording.Summary) -> Table:
    """Where every cent and lot came from and went."""
    flows: dict[str, dict[str, Any]] = summary["conservation"]
    rows = tuple(
        (
            f"{asset} ({'cents' if asset == 'cash' else 'lots'})",
            count(flow["start"]),
            count(flow["issued"]),
            wording.listed(flow["in_other_accounts"]),
            count(flow["end"]),
            count(flow["unexplained"]) if flow["unexplained"] else "0, adds up",
        )
        for asset, flow in flows.items()
    )
    return Table(
        "Where everything went",
        "What traders had at the start and were issued since, less what lies in other accounts, must be what they "
        "have at the end, to the cent and lot.",
        ("asset", "start", "issued", "in other accounts", "end", "unexplained"),
        rows,
        (0, 3),
    )


def _good_keys(goods: Sequence[str], look: str = "line") -> tuple[Key, ...]:
    keys = []
    for good in goods:
        colour, dashes = charts.good_colour(goods, good)
        keys.append(Key(good, colour, "dashed" if look == "line" and dashes != charts.DASHES[0] else look))
    return tuple(keys)


def _last_kept(record: RunRecord) -> int:
    return int(record.tables["traders"]["round"].to_numpy().max())


def _time_unit(longest_s: float) -> tuple[str, int]:
    """The unit in which such a time is a readable number, and how many of it are a second."""
    return ("s", 1) if longest_s >= 1 else ("ms", 1_000)
