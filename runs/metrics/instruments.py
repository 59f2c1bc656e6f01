"""Counters, gauges and histograms over the files of `store`."""

from collections.abc import Sequence
from typing import Any

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.utils import INF, floatToGoString

from runs.metrics import store

SHORT = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, INF)
LONG = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, INF)


class Instrument:
    """Something that is counted. `known`: the values of its labels that are shown before anything has happened."""

    kind = ""

    def __init__(self, name: str, text: str, known: Sequence[dict[str, str]] = ({},)) -> None:
        self.name, self.text, self.known = name, text, known
        self._keys: dict[tuple[Any, ...], str] = {}

    def _key(self, sample: str, labels: dict[str, str]) -> str:
        at = (sample, *labels.values())
        if at not in self._keys:
            self._keys[at] = mmap_key(self.name, sample, list(labels), list(labels.values()), self.text)
        return self._keys[at]

    def show(self) -> None:
        """Make the known values visible as zero."""
        raise NotImplementedError


class Counter(Instrument):
    """Goes up. Its sample ends in `_total`."""

    kind = "counter"

    def inc(self, **labels: str) -> None:
        """Count one."""
        self._add(1.0, labels)

    def _add(self, amount: float, labels: dict[str, str]) -> None:
        store.add(self.kind, [(self._key(f"{self.name}_total", labels), amount)])

    def show(self) -> None:
        for labels in self.known:
            self._add(0.0, labels)


class Gauge(Instrument):
    """Goes up and down; the sum over the living processes of the machine."""

    kind = store.LIVE

    def add(self, amount: float, **labels: str) -> None:
        """Change it by this much."""
        store.add(self.kind, [(self._key(self.name, labels), amount)])

    def one(self, **labels: str) -> "One":
        """One more, for the length of the block."""
        return One(self.kind, self._key(self.name, labels))

    def show(self) -> None:
        for labels in self.known:
            self.add(0.0, **labels)


class One:
    """One more of a gauge, for the length of a block; there are thousands of these."""

    __slots__ = ("_key", "_kind")

    def __init__(self, kind: str, key: str) -> None:
        self._kind, self._key = kind, key

    def __enter__(self) -> None:
        store.add(self._kind, [(self._key, 1.0)])

    def __exit__(self, *_: object) -> None:
        store.add(self._kind, [(self._key, -1.0)])


class Histogram(Instrument):
    """Times in seconds, by upper bound."""

    kind = "histogram"

    def __init__(
        self, name: str, text: str, known: Sequence[dict[str, str]] = ({},), bounds: Sequence[float] = SHORT
    ) -> None:
        super().__init__(name, text, known)
        self.bounds = bounds

    def observe(self, seconds: float, **labels: str) -> None:
        """Add one time."""
        bound = next(bound for bound in self.bounds if seconds <= bound)
        added = [(self._key(f"{self.name}_sum", labels), seconds), (self._bucket(bound, labels), 1.0)]
        store.add(self.kind, added)

    def _bucket(self, bound: float, labels: dict[str, str]) -> str:
        return self._key(f"{self.name}_bucket", {**labels, "le": floatToGoString(bound)})

    def show(self) -> None:
        for labels in self.known:
            keys = [self._key(f"{self.name}_sum", labels), *(self._bucket(bound, labels) for bound in self.bounds)]
            store.add(self.kind, [(key, 0.0) for key in keys])
