"""Shows a person how a run goes on: a live table on a terminal, a line now and then elsewhere."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from swarm.errors import printable
from swarm.scenarios.protocol import Int64, MarketState, papers_of, told_by
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

LINES_PER_RUN = 15
"""How many lines of progress a run prints where there is no terminal to draw on."""


class Progress:
    """A watcher and narrator that shows the run on a console."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet
        self._live: Live | None = None
        self._phase = "starting"
        self._plan: RunPlan | None = None
        self._last: RoundOutcome | None = None
        self._told: Mapping[str, str] = {}
        self._trades = 0
        self._tokens = 0
        self._errors = 0
        self._late = 0
        self._recorded = 0
        self._begun = perf_counter()

    @contextmanager
    def shown(self) -> Iterator["Progress"]:
        """Shows progress while the block runs."""
        if self.quiet or not self.console.is_terminal:
            yield self
            return
        with Live(get_renderable=self._render, console=self.console, refresh_per_second=8) as live:
            self._live = live
            yield self
            # Drawn once more at the end, or the last round would be missing.
            live.update(self._render(), refresh=True)

    def phase(self, text: str) -> None:
        """Says what goes on while there are no rounds yet."""
        self._phase = text
        if not self.quiet:
            # Above the live table where there is one, so that an address stays to be read.
            self.console.print(text, markup=False)

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note that the run has begun."""
        self._plan = plan.last
        self._begun = perf_counter()

    def round_done(self, outcome: RoundOutcome) -> None:
        """Counts a round and show it."""
        self._last = outcome
        if outcome.gathered.recorded:
            # What a journal tells again takes no time that says anything of the rounds to come.
            self._recorded, self._begun = outcome.round, perf_counter()
        self._told = told_by(outcome.plan.scenario)
        turns = outcome.gathered.turns
        self._trades += len(outcome.cleared.trades.good)
        self._tokens += int(turns.prompt_tokens.sum() + turns.completion_tokens.sum())
        self._errors += sum(1 for e in outcome.gathered.decisions.errors if e)
        self._late += len(outcome.gathered.late)
        if self._live is None and not self.quiet and self._plan is not None:
            rounds = self._plan.rounds
            # The first, the last, and so many between them, however long the run is.
            every = max(1, -(-rounds // LINES_PER_RUN))
            if outcome.round % every == 0 or outcome.round in (1, rounds):
                prices = " ".join(f"{good} {price}" for good, price, _ in self._prices())
                self.console.print(f"{self._head()}  {prices}".rstrip(), highlight=False, soft_wrap=True)

    def _head(self) -> str:
        plan, last = self._plan, self._last
        if plan is None or last is None:
            return self._phase
        spent = perf_counter() - self._begun
        # Seconds a round over all rounds that were run here, which smooths out single slow ones.
        pace = spent / max(last.round - self._recorded, 1)
        left = pace * (plan.rounds - last.round)
        problems = f"  errors {self._errors:,}" if self._errors else ""
        problems += f"  late {self._late:,}" if self._late else ""
        # What a scenario tells stands in the place of trades, which say nothing of it.
        figures = self._told or {"trades": f"{self._trades:,}"}
        where = f"round {last.round}/{plan.rounds} {last.season}".rstrip()
        said = "  ".join(f"{name} {figure}" for name, figure in figures.items())
        return f"{where}  {said}  tokens {self._tokens:,}  {pace:.3f} s/round  {left:.0f} s left{problems}"

    def _prices(self) -> list[tuple[str, int, int]]:
        """Returns (good, price, change) by good, both in ticks; nothing where a scenario tells other figures."""
        if self._plan is None or self._last is None or self._told:
            return []
        now, before = self._last.state.reference_ticks, self._last.reference_before_ticks
        rows = zip(self._plan.scenario.goods, now.tolist(), (now - before).tolist(), strict=True)
        # Papers have no price.
        papers = papers_of(self._plan.scenario)
        return [row for row in rows if row[0] not in papers]

    def _render(self) -> RenderableType:
        plan, last = self._plan, self._last
        if plan is None or last is None:
            return Text(f"{printable(self._phase)} … {perf_counter() - self._begun:.0f} s", style="dim")
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for heading in ("good", "price", "change", "traded", "unmet bids", "unmet asks"):
            table.add_column(heading, justify="left" if heading == "good" else "right")
        cleared = last.cleared
        for g, (good, price, change) in enumerate(self._prices()):
            # As on a ticker: up green, down red.
            style = "green" if change > 0 else "red" if change < 0 else "dim"
            table.add_row(
                good,
                str(price),
                Text(f"{change:+d}", style=style),
                str(cleared.volume_lots[g]),
                str(cleared.unfilled_buy_lots[g]),
                str(cleared.unfilled_sell_lots[g]),
            )
        bar = Table.grid()
        bar.add_row(ProgressBar(total=plan.rounds, completed=last.round, width=60))
        return Group(Text(self._head()), bar, *([] if self._told else [table]))
