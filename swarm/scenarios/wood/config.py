"""Owns the section `scenario` of the Wood, and the names that it uses. What they do, this module does not know."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from swarm.schema import StrictModel

Good = Literal["acorns", "berries", "mushrooms", "honey", "firewood"]
Season = Literal["spring", "summer", "autumn", "winter"]

GOODS: tuple[Good, ...] = ("acorns", "berries", "mushrooms", "honey", "firewood")
KINDS = ("squirrel", "hedgehog", "badger", "bear", "beaver")
MOST_SHOCK_ROUNDS, MOST_SHOCK_PERMILLE = 100, 950
SEASONS: tuple[Season, ...] = ("spring", "summer", "autumn", "winter")


class Shock(StrictModel):
    """Something that befalls the Wood."""

    kind: Literal["mania", "venture", "run", "blight"]
    """mania: everybody wants a good, then nobody; venture: takes deposits and fails; run: the largest hoards are
    stormed; blight: stocks rot and harvests fail."""

    round: int = Field(ge=1)
    """The round in which it is announced."""

    rounds: int = Field(default=4, ge=1, le=MOST_SHOCK_ROUNDS)
    """How long it lasts, in rounds."""

    good: Good
    """The good it concerns; for a venture, the good whose producers it had been buying from."""

    size_permille: int = Field(default=400, ge=1, le=MOST_SHOCK_PERMILLE)
    """How hard it hits, in 1/1000: of worth (mania), of every purse (venture), of the hoards (run), of stocks and
    harvests (blight)."""

    title: str = Field(default="", max_length=60)
    """What it is called in the news; empty: a name by its kind."""


class WoodConfig(StrictModel):
    """The setting `wood`."""

    name: Literal["wood"] = "wood"
    """Which scenario this is."""

    start_pebbles: int = Field(default=400, ge=10, le=1_000_000)
    """What is in each creature's purse at the start, in pebbles of 100 cents."""

    start_stock_lots: int = Field(default=6, ge=0, le=1_000)
    """How much of its own good each creature starts with, in lots."""

    start_price_ticks: dict[Good, Annotated[int, Field(ge=1, le=100_000)]] = Field(
        default={"acorns": 20, "berries": 24, "mushrooms": 26, "honey": 34, "firewood": 22}
    )
    """The first reference price of each good, in ticks; also what a lot is ordinarily worth."""

    harvest_lots: dict[Good, Annotated[int, Field(ge=0, le=10_000)]] = Field(
        default={"acorns": 3, "berries": 3, "mushrooms": 3, "honey": 2, "firewood": 3}
    )
    """What a creature brings home of its own good in an ordinary round, in lots; each round's is one more or less."""

    spoil_permille: dict[Good, Annotated[int, Field(ge=0, le=1_000)]] = Field(
        default={"acorns": 60, "berries": 250, "mushrooms": 300, "honey": 10, "firewood": 20}
    )
    """The share of a stock that spoils each round, in 1/1000; odd lots spoil by the seed's draw."""

    meal_foods: int = Field(default=3, ge=1, le=4)
    """How many different foods a good meal has; one lot of each is eaten."""

    firewood_need_lots: dict[Season, Annotated[int, Field(ge=0, le=100)]] = Field(
        default={"spring": 1, "summer": 0, "autumn": 1, "winter": 2}
    )
    """How many lots of firewood a creature burns each round, by season."""

    season_rounds: int = Field(default=10, ge=1, le=1_000)
    """How many rounds a season lasts; a run begins in autumn."""

    shocks: tuple[Shock, ...] = Field(default=(), max_length=50)
    """What befalls the Wood, and when."""

    @field_validator(
        "start_price_ticks",
        "harvest_lots",
        "spoil_permille",
        "firewood_need_lots",
        mode="before",
        json_schema_input_type=dict[str, int],
    )
    @classmethod
    def _fill_in(cls, given: Any, info: ValidationInfo) -> Any:
        """Returns a table with the defaults for the entries that it does not name."""
        default = cls.model_fields[info.field_name or ""].default
        return {**default, **given} if isinstance(given, dict) else given
