"""Holds the series of one run: a value or a histogram for each combination of labels, all there from the start."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from swarm.market.orders import Int64
from swarm.monitoring.metrics import METRICS, Metric

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Histogram:
    """The counts of a metric by series and bucket, the last of which is for what lies beyond all bounds."""

    def __init__(self, bounds: tuple[float, ...], series: list[tuple[str, ...]]) -> None:
        self.series = series
        self.counts = np.zeros((len(series), len(bounds) + 1), dtype=np.int64)
        self.sums = np.zeros(len(series))
        self._bounds = np.array(bounds)

    def observe(self, number: Int64, values: npt.NDArray[np.float64]) -> None:
        """Counts many values at once, each in the series of this number."""
        rows, columns = self.counts.shape
        # Each value's cell of the table read row by row, so that one bincount counts all series at once.
        cell = number * columns + np.searchsorted(self._bounds, values)
        self.counts += np.bincount(cell, minlength=rows * columns).reshape(rows, columns)
        self.sums += np.bincount(number, weights=values, minlength=rows)


class Series:
    """The series of a run by metric; `sets` has the values that each label takes."""

    def __init__(self, run: str, sets: Mapping[str, Sequence[str]]) -> None:
        self._run = run
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            # Every combination of labels, also those that never occur: a series that appears late looks like a jump.
            series = list(product(*(sets[name] for name in metric.labels.values())))
            if metric.kind == "histogram":
                self._histograms[metric.name] = Histogram(metric.buckets, series)
            else:
                # What is not known yet is no number, which no alert takes for one.
                start = 0.0 if metric.kind == "counter" else math.nan
                self._values[metric.name] = dict.fromkeys(series, start)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Lets a series have a value."""
        self._values[name][labels] = value

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Adds to a series that is there."""
        self._values[name][labels] += amount

    def observe(self, name: str, values: npt.NDArray[np.float64], number: Int64 | None = None) -> None:
        """Counts values in a histogram, each in the series of its number; by default all in the first."""
        self._histograms[name].observe(np.zeros(len(values), dtype=np.int64) if number is None else number, values)

    def families(self, *, counters: bool) -> Iterator[Family]:
        """Yields each metric with its series; without `counters`, those have none."""
        for metric in METRICS:
            yield self._histogram(metric) if metric.kind == "histogram" else self._numbers(metric, counters)

    def _histogram(self, metric: Metric) -> Family:
        family = HistogramMetricFamily(metric.name, metric.help, labels=("run", *metric.labels))
        counted = self._histograms[metric.name]
        bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
        # Prometheus' buckets each hold those below them.
        cumulated = np.cumsum(counted.counts, axis=1).tolist()
        for labels, counts, seconds in zip(counted.series, cumulated, counted.sums.tolist(), strict=True):
            family.add_metric((self._run, *labels), list(zip(bounds, counts, strict=True)), seconds)
        return family

    def _numbers(self, metric: Metric, counters: bool) -> Family:
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=("run", *metric.labels))
        if counters or metric.kind == "gauge":
            for labels, value in self._values[metric.name].items():
                family.add_metric((self._run, *labels), value)
        return family
