"""What the metrics files of all workers hold together, read anew at each scrape.

prometheus_client's own merge decodes every key of every file each time: half a second for 500
gateways and 8 workers. Here each key is decoded once. The files only grow at their end
(`runtime/metrics_files.py`), so what is known of them stays true: a scrape reads the new entries
and then the numbers, each at its known place.

    file     4 bytes: how many are used, 4 bytes, then entries
    entry    4 bytes: length of the key, the key, spaces to a multiple of 8, number, time (doubles)
    key      JSON: family, sample, labels, help
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from router.runtime.metrics_catalogue import OTHER
from router.runtime.metrics_files import DAMAGED

KINDS: Final = ("counter", "histogram")
_HEAD: Final = 8
_INT: Final = struct.Struct("i")


class _Bucket(NamedTuple):
    """One bucket of a histogram: how far it goes, its labels, and where its number is."""

    bound: float
    labels: dict[str, str]
    number: int


class _Series:
    """One histogram: its labels, its buckets in order, and where its sum is."""

    __slots__ = ("buckets", "labels", "sum_index")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.buckets: list[_Bucket] = []
        self.sum_index = -1


class _Known:
    """What is known of one file: where each number is, and which of all numbers that is."""

    __slots__ = ("file_id", "indices", "places", "used")

    def __init__(self, file_id: int) -> None:
        self.file_id = file_id
        self.used = _HEAD
        # Arrays, for there may be a million numbers: they are small, and no garbage collector's.
        self.indices = array("L")
        """which of all numbers it is"""
        self.places = array("L")
        """and where it is in the file, in doubles"""


class MergedFiles:
    """The sum of the metrics files of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[Path, _Known] = {}
        self._indices: dict[bytes, int] = {}
        self._counters: dict[str, list[tuple[str, dict[str, str], int]]] = {}
        self._histograms: dict[str, dict[tuple[tuple[str, str], ...], _Series]] = {}
        self.damaged: dict[str, str] = {}
        """By name the files that the last reading left out, and what is wrong with them."""

    def families(self) -> Iterator[Family]:
        """Every family of the files; OSError when the directory cannot be read."""
        totals = self._read()
        for name, counters in self._counters.items():
            family = Family(name, "", "counter")
            family.samples = [
                Sample(sample, labels, totals[index]) for sample, labels, index in counters
            ]
            yield family
        for name, histograms in self._histograms.items():
            family = Family(name, "", "histogram")
            for series in histograms.values():
                _add(family.samples, name, series, totals)
            yield family

    def _read(self) -> list[float]:
        """The sum of each number over all files."""
        self.damaged = {}
        # A worker that starts makes its file before it has a size: there is nothing in it yet.
        paths = [
            path for path in sorted(self._directory.iterdir())
            if path.suffix == ".db" and path.name.startswith(KINDS) and path.stat().st_size > 0
        ]
        for gone in self._files.keys() - set(paths):
            del self._files[gone]
        read = []
        for path in paths:
            try:
                read.append(self._numbers(path))
            except DAMAGED as error:
                self._files.pop(path, None)
                self.damaged[path.name] = str(error)
        totals = [0.0] * len(self._indices)
        for known, numbers in read:
            for index, place in zip(known.indices, known.places, strict=True):
                totals[index] += numbers[place]
        return totals

    def _numbers(self, path: Path) -> tuple[_Known, memoryview[float]]:
        """What is known of a file, and the file as doubles."""
        with path.open("rb") as file:
            file_id = path.stat().st_ino
            known = self._files.get(path)
            head = file.read(_HEAD)
            used = _INT.unpack_from(head)[0] or _HEAD
            data = head + file.read(used - _HEAD)
        if used % 8 or used < _HEAD or len(data) != used:
            raise ValueError(f"{len(data)} of {used} bytes are there")
        if known is None or known.file_id != file_id or known.used > used:
            # A worker has begun it anew.
            known = self._files[path] = _Known(file_id)
        kind = path.name.partition("_")[0]
        position = known.used
        add_index, add_place = known.indices.append, known.places.append
        indices, length_at = self._indices, _INT.unpack_from
        while position < used:
            length = length_at(data, position)[0]
            start = position + 4
            position = start + length + 8 - (length + 4) % 8
            if length <= 0 or position + 16 > used:
                raise ValueError("an entry goes beyond the end")
            key = data[start : start + length]
            index = indices.get(key)
            if index is None:
                index = self._learn(key, kind)
            add_index(index)
            add_place(position // 8)
            position += 16
        known.used = used
        return known, memoryview(data).cast("d")

    def _learn(self, key: bytes, kind: str) -> int:
        """A key that was never seen: gives it a number, and its sample a place in its family."""
        family, sample, labels, _ = json.loads(key)
        index = len(self._indices)
        if kind == "counter":
            labels = {str(name): str(value) for name, value in labels.items()}
            self._counters.setdefault(str(family), []).append((str(sample), labels, index))
        else:
            bound = labels.pop("le", "")
            of_family = self._histograms.setdefault(str(family), {})
            which = tuple(sorted(labels.items()))
            series = of_family.get(which)
            if series is None:
                series = of_family[which] = _Series(labels)
            if bound:
                bucket = _Bucket(float(bound), {**labels, "le": bound}, index)
                buckets = series.buckets
                buckets.append(bucket)
                if len(buckets) > 1 and buckets[-2].bound > bucket.bound:
                    buckets.sort(key=lambda one: one.bound)
            else:
                series.sum_index = index
        self._indices[key] = index
        return index


def _add(samples: list[Sample], name: str, series: _Series, totals: list[float]) -> None:
    """The samples of a histogram; its files count each bucket alone, a scrape shows sums."""
    bucket_name, count = name + "_bucket", 0.0
    for bucket in series.buckets:
        count += totals[bucket.number]
        samples.append(Sample(bucket_name, bucket.labels, count))
    samples.append(Sample(name + "_count", series.labels, count))
    total = totals[series.sum_index] if series.sum_index >= 0 else 0.0
    samples.append(Sample(name + "_sum", series.labels, total))


def fold(family: Family, label: str, values: Set[str]) -> None:
    """Counts what stands under these values of a label as OTHER, added up where there are several.

    Workers meet names in different orders, so one may have let a name in that another counts as
    OTHER already: half of its counts would be under its name.
    """
    kept: list[Sample] = []
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    for sample in family.samples:
        value = sample.labels.get(label)
        if value != OTHER and value not in values:
            kept.append(sample)
            continue
        labels = {**sample.labels, label: OTHER}
        key = sample.name, tuple(labels.items())
        before = sums.get(key)
        total = sample.value + (before.value if before is not None else 0.0)
        sums[key] = Sample(sample.name, labels, total)
    family.samples = kept + list(sums.values())
