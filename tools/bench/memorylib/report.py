"""The tables, in Markdown; also of a run that was interrupted."""
from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from memorylib.measure import Result
from memorylib.scenarios import Gain
from memorylib.settings import EMBER, LLAMA
from memorylib.soak import Soak
from peerslib.report import MISSING, spread, table


@dataclass
class Report:
    """All that the tables are made from."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    context: int
    threads: int
    disk_rate: int | None
    results: list[Result] = field(default_factory=list)
    gains: list[Gain] = field(default_factory=list)
    soaks: list[Soak] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        parts = ["\n".join(self._head())]
        for shape in dict.fromkeys(result.shape for result in self.results):
            mine = [result for result in self.results if result.shape == shape]
            parts += [self._title(shape, mine), _runs(mine), _ratios(mine)]
        parts += [_gains(self.gains), "\n".join(map(_soak, self.soaks)),
                  "\n".join(f"- {note}" for note in self.notes)]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _head(self) -> Iterable[str]:
        machine = self.machine
        yield f"**Inside memory limits**, {self.date}"
        yield ""
        yield (f"- Machine: {machine['processor']} ({machine['architecture']}),"
               f" {machine['cores']} cores, {' '.join(machine['instruction_sets'])},"
               f" {machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}")
        yield "- Versions: " + "; ".join(
            f"{name} {version}" for name, version in self.versions.items())
        yield (f"- Greedy decoding after the first token, {self.threads} threads, a context of"
               f" {self.context}; each run in a fresh process and a cgroup of its own, its file"
               " out of the page cache before; the programs take turns. Medians"
               " (smallest–largest)")

    def _title(self, shape: str, results: list[Result]) -> str:
        sizes = {
            result.program.split(",")[0]: f"{result.file / 1e6:,.0f} MB" for result in results}
        disks = [result.disk for result in results if result.disk]
        how = "limited to" if self.disk_rate else "read past the cache between the runs:"
        return (f"**Random weights, shape {shape}**: "
                + ", ".join(f"{program} {size}" for program, size in sizes.items())
                + f"; the disk, {how} {spread(disks, 1e9)} GB/s")

    def raw(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _groups(results: list[Result]) -> dict[tuple[str, str], list[Result]]:
    """By budget and program, in the order in which they first came."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for budget in dict.fromkeys(result.budget for result in results):
        for result in results:
            if result.budget == budget:
                groups.setdefault((budget, result.program), []).append(result)
    return groups


def _values(results: list[Result], name: str) -> list[float]:
    return [value for result in results if (value := getattr(result, name)) is not None]


def _cell(values: list[float], unit: float = 1, suffix: str = "") -> str:
    return spread(values, unit) + suffix if values else MISSING


def _runs(results: list[Result]) -> str:
    header = [
        "memory, of the file", "", "tokens/s", "read per token, MB", "of the file",
        "of the least", "of the disk's speed", "start to first token, s", "held at most, MB",
        "of the limit", "resident at most, MB", "lived"]
    rows = []
    for (budget, program), group in _groups(results).items():
        reads = _values(group, "read_per_token")
        held = max(result.peak_held for result in group)
        limit = group[0].limit
        deaths = [result.death for result in group if result.death]
        rows.append([
            budget, program, _cell(_values(group, "tokens_per_second")), _cell(reads, 1e6),
            f"{100 * statistics.median(reads) / group[0].file:.0f} %" if reads else MISSING,
            _cell(_values(group, "share_of_least_read")),
            _cell(_values(group, "share_of_disk")) if reads and min(reads) > 1e6 else MISSING,
            _cell(_values(group, "first_token_seconds")),
            f"{held / 1e6:,.0f}" if held else MISSING,
            f"{100 * held / limit:.0f} %" if held and limit else MISSING,
            f"{max(result.peak_resident for result in group) / 1e6:,.0f}",
            f"no: {deaths[0]}" + (f" ({len(deaths)} of {len(group)})" if len(group) > 1 else "")
            if deaths else "yes"])
    return table(header, rows, left=2) + (
        "\n\nHeld: charged to the cgroup, less file pages that the kernel can take back. The least:"
        " the weights of a token less what was pinned and what the process never had of the limit."
        " llama.cpp's limit begins behind Python and its library.")


def _ratios(results: list[Result]) -> str:
    """Ember over llama.cpp, and over Ember itself without a limit."""
    speeds = {
        key: statistics.median(values) for key, group in _groups(results).items()
        if (values := _values(group, "tokens_per_second"))}
    free = speeds.get(("no limit", EMBER.label))
    rows = []
    for budget in dict.fromkeys(result.budget for result in results):
        ours = speeds.get((budget, EMBER.label))
        if ours is None:
            continue
        row = [budget]
        for program in LLAMA:
            theirs = speeds.get((budget, program.label))
            row.append(f"{ours / theirs:.2f}" if theirs else MISSING)
        row.append(f"{ours / free:.2f}" if free else MISSING)
        rows.append(row)
    if not rows:
        return ""
    header = ["Ember's tokens/s over", *(program.label for program in LLAMA),
              "its own without a limit"]
    return table(header, rows, left=1)


def _gains(gains: list[Gain]) -> str:
    if not gains:
        return ""
    rows = [
        [gain.shape, gain.budget, gain.scenario,
         MISSING if gain.without is None else f"{gain.without:.3g}",
         MISSING if gain.with_it is None else f"{gain.with_it:.3g}",
         f"{gain.with_it / gain.without:.2f}" if gain.without and gain.with_it else MISSING,
         gain.death]
        for gain in gains]
    return table(
        ["shape", "memory, of the file", "", "tokens/s without", "with", "times", "problem"],
        rows, left=3)


def _soak(soak: Soak) -> str:
    held, slope = soak.held(), soak.slope()
    if held is None:
        return f"- Soak, {soak.shape}: no sample"
    low, middle, high = (value / 1e6 for value in held)
    text = (f"- Soak, {soak.shape} at {soak.budget}: {soak.seconds / 60:.1f} minutes,"
            f" {len(soak.peaks)} whole texts; held after the first minute {low:,.1f} MB at least,"
            f" {middle:,.1f} in the middle, {high:,.1f} at most, of {soak.limit / 1e6:,.1f}")
    if slope is not None:
        what = "the texts' peaks" if len(soak.peaks) >= 3 else "all samples"
        text += f"; slope of {what} {slope * 3600 / 1e6:+.2f} MB an hour"
    return text + ("; lived" if not soak.death else f"; {soak.death}")
