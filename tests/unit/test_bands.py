"""What a sweep's page says of orders between runs: band, mean and deviation by tier, and nothing of other scenarios."""

from pathlib import Path

import polars as pl
import pytest

from swarm.experiments.bands import bands, between_runs
from swarm.experiments.plan import RUNS, plan
from swarm.experiments.variants import crossed


def table(*ordered: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "round": [1, 1, 2, 2],
            "tier": ["shop", "maker"] * 2,
            "ordered_units": ordered,
            "demand_units": [5, 0, 5, 0],
        }
    )


def test_a_band_is_what_the_runs_of_a_round_and_tier_differ_by() -> None:
    found = between_runs([table(5, 4, 5, 4), table(5, 8, 5, 4)])
    maker = found.filter(pl.col("tier") == "maker").sort("round")
    assert maker["low"].to_list() == [4, 4] and maker["high"].to_list() == [8, 4]
    assert maker["deviation"].to_list() == pytest.approx([8**0.5, 0])
    assert found["demand"].to_list() == [5] * 4 and not any(found["demand_deviation"].to_list())


def test_a_sweep_of_supply_chains_has_a_figure_for_each_variant_and_others_have_none(tmp_path: Path) -> None:
    experiment = plan(
        {"rounds": 2, "traders": {"minds": {"zip": 1}}}, crossed({"population": {"10": 10, "12": 12}}), (1, 2)
    )
    letters = {variant.label: "AB"[number] for number, variant in enumerate(experiment.variants)}
    assert bands(experiment, tmp_path, letters) == ()
    # Of the second variant one run is done, which is no band.
    for number, run in enumerate(list(experiment.runs())[:3]):
        folder = tmp_path / RUNS / run.folder / "tables"
        folder.mkdir(parents=True)
        table(5, 4 + 2 * number, 5, 4).write_parquet(folder / "supply.parquet")
    figure, summed = bands(experiment, tmp_path, letters)
    assert "2 runs" in figure.caption and [panel.label for panel in figure.panels] == ["shop", "maker"]  # type: ignore[union-attr]
    # Deviations of 2.8 and 0 in two rounds are 2 on average, of a demand of 5.
    assert [row[:4] for row in summed.rows] == [("A", "shop", "2", "0.0%"), ("A", "maker", "2", "40.0%")]  # type: ignore[union-attr]
