"""The section `scenario` of a fraud desk: its payments, its watchers, and what a slot of the analyst's time pays."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from swarm.scenarios.fraud.payments import Kind
from swarm.schema import StrictModel, path_of

Watch = Literal[Kind, "forest", "boosting", "reader"]


class WatcherConfig(StrictModel):
    """One watcher, which has a seat and a purse: `watch` names one that is there, `describe` makes one from words."""

    watch: Watch | None = None
    """A specialist by its kind of fraud; forest (isolation forest) and boosting (gradient boosting on the labels of the
    days before), which need the extra `fraud`; or reader, whose seat a mind of the config has and which sees cases."""

    describe: str = Field(default="", max_length=2_000)
    """A kind of fraud in one paragraph of English, from which thresholds over the figures of a payment are read; what
    words are understood stands in docs/fraud.md."""

    name: str = Field(default="", max_length=30, pattern=r"^([a-z][a-z0-9_-]*)?$")
    """What it is called; empty: as `watch` says, or `described`."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "WatcherConfig":
        if (self.watch is None) == (not self.describe.strip()):
            raise ValueError("a watcher has either `watch` or `describe`; give one of them")
        return self

    @property
    def title(self) -> str:
        """What it is called."""
        return self.name or self.watch or "described"


Days = Annotated[int, Field(ge=0, le=1_000)]


class FraudConfig(StrictModel):
    """The setting `fraud`."""

    name: Literal["fraud"] = "fraud"
    """Which scenario this is."""

    payments: str = Field(default="", max_length=1_000)
    """A file of payments of your own, CSV or Parquet; empty: made from the seed. docs/fraud.md has its columns."""

    payments_file: str = Field(default="", max_length=4_000)
    """Where that file lies, for whoever plays the run again; made from `payments`, and nothing to write by hand."""

    payments_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """What the payments' digest must be, so that a replay on another file is refused; empty: anything."""

    utc: bool = False
    """Whether times of a file without a zone are UTC; false: such a file is refused."""

    days_before: int = Field(default=60, ge=0, le=1_000)
    """Days of payments before the first round, whose labels are known: what watchers are calibrated on."""

    payments_a_day: int = Field(default=3_300, ge=100, le=100_000)
    """About how many payments are made for a day, where none are read."""

    prevalence_ppm: int = Field(default=1_000, ge=0, le=100_000)
    """How many of a million payments are fraud, where they are made; 0: none is."""

    new_kinds: tuple[Kind, ...] = ()
    """Kinds of fraud that begin with the first round, so that no label of them is known before, where they are made."""

    watchers: tuple[WatcherConfig, ...] = Field(
        default=tuple(WatcherConfig(watch=kind) for kind in get_args(Kind)),
        min_length=1,
        max_length=64,
    )
    """Who watches, a seat each behind that of the desk; the eight specialists unless given."""

    slots: int = Field(default=10, ge=1, le=1_000)
    """How many payments the analyst looks at in a round: what is sold."""

    kept_slots: int = Field(default=2, ge=0, le=1_000)
    """At most how many of them go to payments that the strongest watcher does not name."""

    kept_weight: int = Field(default=2, ge=1, le=1_000)
    """How many times its bid such a payment counts for on its way to a kept slot: 1, and none is kept."""

    reserve_ticks: int = Field(default=7, ge=1, le=1_000)
    """The least price of a slot, which is what the analyst's time is worth; nobody bids less, and what no bid reaches
    stays unsold."""

    share_permille: int = Field(default=100, ge=1, le=1_000)
    """What a confirmed alert pays its watcher of the value saved, in 1/1000."""

    least_value_cents: int = Field(default=500_000, ge=1, le=10**12)
    """The least value that a confirmed alert saves: a first cent, too, ends what would have followed."""

    most_value_cents: int = Field(default=1_000_000, ge=1, le=10**12)
    """The most value that counts of one payment."""

    false_cents: int = Field(default=700, ge=0, le=10**9)
    """What a false alert costs its watcher: the analyst's time."""

    confirm_rounds: tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=1, le=100)]] = (1, 5)
    """In how many rounds the analyst knows what an alert was, at least and at most; drawn for each payment."""

    purse_cents: int = Field(default=2_000_000, ge=0, le=10**15)
    """What each watcher begins with."""

    @model_validator(mode="after")
    def _bounds_fit(self) -> "FraudConfig":
        if self.least_value_cents > self.most_value_cents:
            raise ValueError("least_value_cents is above most_value_cents; swap them")
        if self.confirm_rounds[0] > self.confirm_rounds[1]:
            raise ValueError("the least of confirm_rounds is above the most; swap them")
        if self.kept_slots > self.slots:
            raise ValueError(f"kept_slots are some of the {self.slots} slots; give at most so many")
        return self


def settled(config: FraudConfig) -> FraudConfig:
    """Returns the same with the whole path of the payments, so that a run finds them from any folder."""
    if not config.payments:
        return config
    path = path_of("scenario.payments", config.payments).resolve()
    return config.model_copy(update={"payments": "", "payments_file": str(path)})
