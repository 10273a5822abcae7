"""The tables, in Markdown."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from peerslib.agreement import Agreement
from peerslib.rounds import Measurements, Plan
from peerslib.settings import EmberSetting, LlamaSetting, Setting

MISSING = "–"


@dataclass(frozen=True)
class Report:
    """All that the tables are made from."""

    subject: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    agreement: Agreement
    plan: Plan
    settings: list[Setting]
    measured: Measurements
    busy: int

    def markdown(self) -> str:
        parts = ["\n".join(self._head()), self._speeds(), self._ratios()]
        if self.busy in self.measured.rounds:
            parts.append(self._busy())
        return "\n\n".join(part for part in parts if part) + "\n"

    def _head(self) -> Iterable[str]:
        machine = self.machine
        yield f"**{self.subject}**, {self.date}"
        yield ""
        yield (f"- Machine: {machine['processor']} ({machine['architecture']}),"
               f" {machine['cores']} cores, {' '.join(machine['instruction_sets'])},"
               f" {machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}")
        yield "- Versions: " + "; ".join(
            f"{name} {version}" for name, version in self.versions.items())
        for threads in self.plan.threads:
            values = self._machine("bandwidth", threads)
            peaks = self._machine("int8 peak", threads)
            if values and peaks:
                yield (f"- At {_threads(threads)}, measured between the tests: read bandwidth"
                       f" {spread(values, 1e9)} GB/s, int8 peak {spread(peaks, 1e9)} GOPS")
        top = "the same top token" if self.agreement.same_top_token else "a near tie for the top"
        yield (f"- Both compute the same function: at F16, behind {self.agreement.tokens} tokens,"
               f" logits within {self.agreement.largest_difference:.2g} of their standard"
               f" deviation, {top}")
        prompt_rounds = -(-self.measured.rounds.get(0, 0) // self.plan.prompt_every)
        yield (f"- Medians (smallest–largest); rounds: {self.measured.rounds.get(0, 0)}"
               + (f", with prompts: {prompt_rounds}" if self.plan.prompts else "")
               + (f", beside busy programs: {self.measured.rounds[self.busy]}"
                  if self.busy in self.measured.rounds else "")
               + "; the programs take turns, each time in a fresh process")

    def _machine(self, test: str, threads: int) -> list[float]:
        return [
            sample.value for sample in self.measured.samples
            if (sample.test, sample.threads, sample.busy) == (test, threads, 0)]

    def _speeds(self) -> str:
        plan = self.plan
        header = ["", "file, MB", "threads", f"decode {plan.generate}, tokens/s", "GB/s",
                  "of bandwidth"]
        header += [f"prompt {length}, tokens/s, of int8 peak" for length in plan.prompts]
        header += ["start to first token, s", "peak memory, MB", "of file"]
        rows = []
        for setting in self.settings:
            for threads in plan.threads:
                rows.append(self._speed_row(setting, threads))
        kept = [column for column in range(len(header))
                if column < 3 or any(row[column] not in ("", MISSING) for row in rows)]
        if len(kept) == 3:
            return ""
        return table([header[column] for column in kept],
                      [[row[column] for column in kept] for row in rows], left=1)

    def _speed_row(self, setting: Setting, threads: int) -> list[str]:
        measured, plan, label = self.measured, self.plan, setting.label
        first = threads == plan.threads[0]
        file_bytes = measured.file_bytes.get(label)
        decode = measured.values(label, "decode", threads, plan.generate)
        speed = rate = share = MISSING
        if decode:
            speed = spread(decode)
            if label in measured.weight_bytes:
                bytes_per_second = statistics.median(decode) * measured.weight_bytes[label]
                rate = f"{bytes_per_second / 1e9:.1f}"
                bandwidths = self._machine("bandwidth", threads)
                if bandwidths:
                    share = f"{100 * bytes_per_second / statistics.median(bandwidths):.0f} %"
        row = [_name(setting) if first else "",
               f"{file_bytes / 1e6:.4g}" if first and file_bytes else "", str(threads), speed,
               rate, share]
        for length in plan.prompts:
            values = measured.values(label, "prompt", threads, length)
            cell = spread(values) if values else MISSING
            peaks = self._machine("int8 peak", threads)
            if values and peaks and setting.bits < 16 and length in measured.operations:
                used = statistics.median(values) * measured.operations[length]
                cell += f", {100 * used / statistics.median(peaks):.0f} %"
            row.append(cell)
        start = measured.values(label, "start", 0)
        peak = measured.values(label, "peak", 0)
        row.append((spread(start) if start else MISSING) if first else "")
        row.append((f"{statistics.median(peak) / 1e6:.4g}" if peak else MISSING) if first else "")
        row.append((f"{statistics.median(peak) / file_bytes:.2f}" if peak and file_bytes
                    else MISSING) if first else "")
        return row

    def _ratios(self) -> str:
        """Ember over the best that llama.cpp does at the same bits, whichever setting that is."""
        plan = self.plan
        tests: list[tuple[str, str, int, int]] = []
        for threads in plan.threads:
            where = f"at {_threads(threads)}"
            tests.append((f"decode {where}", "decode", threads, plan.generate))
            tests += [(f"prompt {length} {where}", "prompt", threads, length)
                      for length in plan.prompts]
        tests += [("start to first token", "start", 0, 0), ("peak memory", "peak", 0, 0)]
        settings = self._of(EmberSetting)
        rows = []
        for name, test, threads, tokens in tests:
            cells = [self._ratio(setting, test, threads, tokens) for setting in settings]
            if any(cell != MISSING for cell in cells):
                rows.append([name, *cells])
        if not rows:
            return ""
        sizes = ", ".join(dict.fromkeys(
            f"{setting.type} {self._megabytes(setting)}" for setting in self._of(LlamaSetting)))
        return (
            "Times better than llama.cpp's best setting at the same bits, which is named; its"
            f" files: {sizes}\n\n" + table(
                ["Ember", *(f"{setting.label} ({self._megabytes(setting)})"
                            for setting in settings)], rows, left=1))

    def _megabytes(self, setting: Setting) -> str:
        return f"{self.measured.file_bytes[setting.label] / 1e6:.4g} MB"

    def _ratio(self, setting: EmberSetting, test: str, threads: int, tokens: int,
               busy: int = 0) -> str:
        smaller_is_better = test in ("start", "peak")
        mine = self.measured.values(setting.label, test, threads, tokens, busy)
        best = self._best(setting.bits, test, threads, tokens, smaller_is_better, busy)
        if not mine or best is None:
            return MISSING
        median = statistics.median(mine)
        ratio = best[1] / median if smaller_is_better else median / best[1]
        return f"**{ratio:.2f}** × {best[0].label.replace('repacking ', '')}"

    def _of(self, kind: type[Setting]) -> list[Any]:
        return [setting for setting in self.settings if isinstance(setting, kind)]

    def _best(self, bits: int, test: str, threads: int, tokens: int, smallest: bool,
              busy: int = 0) -> tuple[LlamaSetting, float] | None:
        choose: Callable[..., Any] = min if smallest else max
        found = [
            (setting, statistics.median(values))
            for setting in self._of(LlamaSetting) if setting.bits == bits
            and (values := self.measured.values(setting.label, test, threads, tokens, busy))]
        return choose(found, key=lambda pair: pair[1]) if found else None

    def _busy(self) -> str:
        """Decoding while other programs use the cores."""
        plan, measured, busy = self.plan, self.measured, self.busy
        header = [f"with {busy} busy programs"]
        header += [f"decode at {_threads(threads)}, tokens/s" for threads in plan.threads]
        header += ["most threads against one"]
        header += [f"Ember at {_threads(threads)}: times llama.cpp's best"
                   for threads in plan.threads]
        rows = []
        for setting in self.settings:
            values = [measured.values(setting.label, "decode", threads, plan.generate, busy)
                      for threads in plan.threads]
            if not all(values):
                continue
            ratio = statistics.median(values[-1]) / statistics.median(values[0])
            rows.append([_name(setting), *map(spread, values), f"{ratio:.2f}"])
            for threads in plan.threads:
                rows[-1].append(
                    self._ratio(setting, "decode", threads, plan.generate, busy)
                    if isinstance(setting, EmberSetting) else "")
        return table(header, rows, left=1)


def _name(setting: Setting) -> str:
    program = {EmberSetting: "Ember", LlamaSetting: "llama.cpp"}.get(type(setting), "llama2.c")
    return f"{program} {setting.label}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def spread(values: list[float], unit: float = 1) -> str:
    numbers = [statistics.median(values) / unit, min(values) / unit, max(values) / unit]
    median, low, high = (_short(number) for number in numbers)
    return f"{median} ({low}–{high})" if len(values) > 1 else median


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(header: list[str], rows: list[list[str]], left: int) -> str:
    rule = [":--" if column < left else "--:" for column in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
