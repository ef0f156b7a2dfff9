"""The metrics files, one for each slot and kind, and how counts get into them.

prometheus_client reads them (`router/admin/scrape.py`); here they are opened, kept from a full
disk, and raised by what dictionaries of counts and histograms have gained. What is counted, this
module does not know.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from router.core.tally import Histogram
from router.runtime.metrics_catalogue import BY_NAME, PREFIX, Labels, Metric

DAMAGED: Final = (RuntimeError, ValueError, TypeError, AttributeError, struct.error)
"""What prometheus_client and json raise where a file is cut short or holds rubbish."""


class Value:
    """One number in a metrics file."""

    __slots__ = ("_key", "_number", "_write")

    def __init__(self, file: MetricsFile, key: str) -> None:
        self._key = key
        self._number: float = file.read(key)
        self._write = file.write

    def add(self, gain: float) -> None:
        self._number += gain
        self._write(self._key, self._number, 0.0)


class MetricsFile:
    """The metrics file of one slot, or process, and one kind of metric, its disk space taken.

    prometheus_client makes its files sparse and writes them through a memory map: on a full disk
    such a write is no error but a SIGBUS, which would kill the worker and its calls. So every
    block is taken here first, where a full disk is an OSError. The sizes are those that MmapedDict
    comes to by itself: 64 KiB, then doubled.
    """

    _FIRST_SIZE = 1 << 16

    def __init__(self, directory: Path, kind: str, slot: int | str) -> None:
        path = directory / f"{kind}_{slot}.db"
        self.renewed = False
        """Whether what a predecessor left could not be read, and was given up."""
        try:
            self._keys = self._read_keys(path)
        except DAMAGED:
            self.renewed = True
            self._keys = set()
            path.unlink()
        self._used = 8 + sum(self._room(key) for key in self._keys)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._size = max(os.fstat(self._descriptor).st_size, self._FIRST_SIZE)
        os.posix_fallocate(self._descriptor, 0, self._size)
        self._mapped: Any = MmapedDict(str(path))  # type: ignore[no-untyped-call]
        self.write: Callable[[str, float, float], None] = self._mapped.write_value

    @staticmethod
    def _read_keys(path: Path) -> set[str]:
        if not path.exists():
            return set()
        entries = MmapedDict.read_all_values_from_file(path)  # type: ignore[no-untyped-call]
        keys = {key for key, *_ in entries}
        for key in keys:
            _, _, labels, _ = json.loads(key)
            labels.items()
        return keys

    def series(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Name and labels of each value that is in the file."""
        for key in self._keys:
            family, _, labels, _ = json.loads(key)
            yield family, labels

    @staticmethod
    def _room(key: str) -> int:
        encoded = len(key.encode())
        return 4 + encoded + (8 - (encoded + 4) % 8) + 16

    def value(self, metric: Metric, suffix: str, names: Labels, labels: Labels) -> Value:
        """The value under these labels: what a predecessor left there, or 0."""
        name = PREFIX + metric.name
        # The help text stays out of the key: the metrics process knows it, and the files stay
        # small (a key is repeated for every set of labels).
        return Value(self, mmap_key(name, name + suffix, list(names), list(labels), ""))

    def read(self, key: str) -> float:
        """The number under a key, made as 0 if need be; OSError when the disk is full."""
        if key not in self._keys:
            self._take_room(key)
        number: float = self._mapped.read_value(key)[0]
        return number

    def _take_room(self, key: str) -> None:
        used = self._used + self._room(key)
        size = self._size
        while used > size:
            size *= 2
        if size != self._size:
            os.posix_fallocate(self._descriptor, 0, size)
            self._size = size
        self._used = used
        self._keys.add(key)

    def close(self) -> None:
        self._mapped.close()
        os.close(self._descriptor)


class Counters:
    """A counter family: carries what a dictionary of counts has gained."""

    def __init__(self, file: MetricsFile, name: str, labels_of: Callable[[Any], Labels]) -> None:
        self._file = file
        self._metric = BY_NAME[name]
        self._labels_of = labels_of
        self._by_labels: dict[Labels, Value] = {}
        self._values: dict[Hashable, Value] = {}
        self._carried: dict[Hashable, int] = {}

    def _value(self, key: Hashable) -> Value:
        value = self._values.get(key)
        if value is None:
            labels = self._labels_of(key)
            # Keys that share their labels ("other") share the value too: a value keeps its own
            # copy of the number, so two of them would overwrite each other.
            value = self._by_labels.get(labels)
            if value is None:
                value = self._file.value(self._metric, "_total", self._metric.labels, labels)
                self._by_labels[labels] = value
            self._values[key] = value
        return value

    def carry(self, counts: Mapping[Any, int]) -> None:
        carried = self._carried
        for key, count in counts.items():
            before = carried.get(key)
            if count != before:
                self._value(key).add(count - (before or 0))
                carried[key] = count


class _HistogramValues:
    """The values of one histogram: one for each bucket, not cumulative, and the sum."""

    __slots__ = ("buckets", "sum")

    def __init__(
        self, file: MetricsFile, metric: Metric, labels: Labels, bounds: tuple[float, ...]
    ) -> None:
        names = (*metric.labels, "le")
        self.sum = file.value(metric, "_sum", metric.labels, labels)
        self.buckets = [
            file.value(metric, "_bucket", names, (*labels, _bound(le)))
            for le in (*bounds, float("inf"))
        ]


def _bound(le: float) -> str:
    text: str = floatToGoString(le)  # type: ignore[no-untyped-call]
    return text


class _Carried:
    """A histogram's values, and how much of the histogram is in them already."""

    __slots__ = ("counts", "sum", "values")

    def __init__(self, values: _HistogramValues) -> None:
        self.values = values
        self.counts = [0] * len(values.buckets)
        self.sum = 0.0

    def carry(self, histogram: Histogram) -> None:
        carried = self.counts
        for index, count in enumerate(histogram.counts):
            before = carried[index]
            if count != before:
                self.values.buckets[index].add(count - before)
                carried[index] = count
        if histogram.sum != self.sum:
            self.values.sum.add(histogram.sum - self.sum)
            self.sum = histogram.sum


class Histograms:
    """A histogram family: carries what its histograms have gained."""

    def __init__(self, file: MetricsFile, name: str, labels_of: Callable[[Any], Labels]) -> None:
        self._file = file
        self._metric = BY_NAME[name]
        self._labels_of = labels_of
        self._by_labels: dict[Labels, _HistogramValues] = {}
        self._carried: dict[str, _Carried] = {}

    def _open(self, key: str, bounds: tuple[float, ...]) -> _Carried:
        labels = self._labels_of(key)
        values = self._by_labels.get(labels)
        if values is None:
            values = _HistogramValues(self._file, self._metric, labels, bounds)
            self._by_labels[labels] = values
        carried = self._carried[key] = _Carried(values)
        return carried

    def carry(self, histograms: Mapping[str, Histogram]) -> None:
        for key, histogram in histograms.items():
            carried = self._carried.get(key) or self._open(key, histogram.bounds)
            if carried.counts != histogram.counts:
                carried.carry(histogram)
