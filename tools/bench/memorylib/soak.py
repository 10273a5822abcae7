"""Decoding for a long time inside a limit: whether memory stays what it was."""
from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from memorylib import disk
from memorylib.measure import Setup, death, ember_run, grouped
from memorylib.supervise import Sample, supervise

WARM_SECONDS = 60.0
INTERVAL_SECONDS = 1.0


@dataclass
class Soak:
    """What memory was, each second; a text ends when the context is full, and another begins."""

    shape: str
    budget: str
    limit: int
    seconds: float = 0.0
    death: str = ""
    # Seconds since the start of the whole.
    samples: list[Sample] = field(default_factory=list)
    # The most that each whole text took, in bytes charged without cache.
    peaks: list[int] = field(default_factory=list)

    @property
    def warm(self) -> list[Sample]:
        """After the first minute; all, where there is not that much."""
        return [sample for sample in self.samples if sample.time >= WARM_SECONDS] or self.samples

    def held(self) -> tuple[int, float, int] | None:
        """Least, median, most of what was charged without cache."""
        values = [sample.held for sample in self.warm]
        return (min(values), statistics.median(values), max(values)) if values else None

    def slope(self) -> float | None:
        """Bytes/s, by least squares: of the texts' peaks where there are three, else of warm samples.

        Within a text the key/value cache grows, and its end gives that back; peaks do not show it.
        """
        if len(self.peaks) >= 3:
            step = self.seconds / len(self.peaks)
            points = [(index * step, float(peak)) for index, peak in enumerate(self.peaks)]
        else:
            points = [
                (sample.time, float(sample.held)) for sample in self.samples
                if sample.time >= WARM_SECONDS]
        if len(points) < 3:
            return None
        times, values = zip(*points, strict=True)
        return statistics.linear_regression(times, values).slope


def soak(setup: Setup, file: Path, minutes: float, into: Soak) -> None:
    """Fills `into` as it goes, so that there is something to print when it is interrupted."""
    disk.drop_cache(file)
    start = time.monotonic()
    with grouped(setup, into.limit, file) as group:
        while (left := start + 60 * minutes - time.monotonic()) > 1:
            outcome = supervise(
                ember_run(setup, file, setup.context, *setup.ember_options), group, left,
                interval=INTERVAL_SECONDS)
            into.samples += [
                Sample(sample.time - start, sample.read, sample.resident, sample.held)
                for sample in outcome.samples]
            into.seconds = time.monotonic() - start
            if outcome.is_timed_out:
                break
            into.peaks.append(outcome.peak_held)
            into.death = death(outcome, "not done")
            if into.death:
                break
