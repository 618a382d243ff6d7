"""The benchmark of growth: what it makes of the use of two runs."""

import pytest

from swarm.bench import growth
from swarm.bench.growth import Point, Use
from swarm.bench.plot import FIGURES, points, svg
from swarm.errors import OutputError
from swarm.runtime.run import SILENT


def test_a_point_is_the_difference_of_rounds_and_a_trader_that_of_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(_: str, traders: int, rounds: int) -> Use:
        return Use(5.0 + rounds * traders / 1e5, 90_000 + traders * 4.0, 700 + traders * rounds * 50, traders / 2e5)

    monkeypatch.setattr(growth, "_use", use)
    figures = {result.name: result for result in growth.measure(SILENT)}
    assert figures["growth_cpu_s_baselines_100000"].value == pytest.approx(1.0)
    assert figures["growth_kb_baselines_1000000"].value == pytest.approx(4.0)
    assert figures["growth_bytes_baselines_1000000"].value == pytest.approx(50.0)
    assert figures["growth_bytes_baselines_1000000"].reached is False
    assert figures["growth_round_s_baselines_1000000"].reached is True
    assert figures["growth_slope_baselines"].value == pytest.approx(1.0)
    assert "growth_cpu_s_tiny_10000" in figures
    assert "growth_cpu_s_tiny_100000" not in figures
    assert "growth_cpu_s_standing_100000" in figures
    assert set(growth.measure(SILENT, most=100)) <= set(figures.values())
    assert all("tiny" in result.name for result in growth.measure(SILENT, most=1_000, only=("tiny",)))


def test_the_plot_has_every_point_but_those_that_noise_has_turned_round() -> None:
    results = [
        {"name": "growth_cpu_s_baselines_100", "value": 0.5},
        {"name": "growth_cpu_s_baselines_1000", "value": -0.1},
        {"name": "growth_bytes_tiny_100", "value": 25.0},
        {"name": "growth_kb_tiny_1000", "value": None},
        {"name": "growth_slope_tiny", "value": 1.0},
    ]
    assert points({"results": results}) == [
        {"figure": "cpu_s", "population": "baselines", "traders": 100, "value": 0.5},
        {"figure": "bytes", "population": "tiny", "traders": 100, "value": 25.0},
    ]
    drawn = svg({"results": results})
    assert drawn.startswith("<svg")
    assert all(word in drawn for word in ("baselines", "tiny", *FIGURES.values()))


def test_a_run_that_fails_is_told_with_its_own_words() -> None:
    with pytest.raises(OutputError, match=r"3,000,000 baselines failed.*less than or equal to"):
        growth._use("baselines", 3_000_000, 1)


def test_no_slope_is_told_of_one_size() -> None:
    assert growth._slope("tiny", [Point(10_000, 1.0, 1.0, 1.0, 1.0)]) == []
