"""The tables, in Markdown."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qualitylib.measure import Row
from qualitylib.settings import BITSANDBYTES, FAMILIES

MISSING = "–"


@dataclass
class Report:
    """All that the tables are made from."""

    subject: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    text: dict[str, Any]
    calibration: str
    rows: list[Row]
    skipped: dict[str, str] = field(default_factory=dict)
    importance_seconds: float | None = None
    scorers_differ: float | None = None

    def markdown(self) -> str:
        return "\n".join(self._head()) + "\n\n" + self._table() + "\n"

    def _head(self) -> Iterable[str]:
        text, machine = self.text, self.machine
        yield f"**{self.subject}**, {self.date}"
        yield ""
        yield ("- Versions: " + "; ".join(f"{k} {v}" for k, v in self.versions.items()))
        yield (f"- Text: {text['text']} (SHA-256 {text['text_sha256'][:16]}…),"
               f" {text['tokens_in_text']:,} tokens; {text['windows']} windows of"
               f" {text['context']}, each from position 0, no beginning-of-sequence token, the"
               f" second half scored: {text['tokens_scored']:,} tokens; per token")
        yield f"- Calibration text: {self.calibration}"
        yield ("- Loss is the rise of the perplexity over the same program's F16 file, ± the"
               " standard error of the paired differences; divergence is the mean KL divergence"
               " from it in nats")
        if any(row.family == BITSANDBYTES for row in self.rows):
            yield ("- bitsandbytes: against transformers in fp32; the files are those of the"
                   " weights alone, without vocabulary, the table in fp16")
        if self.scorers_differ is not None:
            yield ("- llama.cpp's logits are scored here, Ember's by `ember compare`; on a window"
                   f" scored both ways the figures agree within {self.scorers_differ:.1g}")
        yield (f"- Quantizing: the fastest of up to three runs at {machine['cores']} threads,"
               f" {machine['processor']}"
               + (f"; the importance matrix took"
                  f" {_seconds(self.importance_seconds)} s at one thread, once"
                  if self.importance_seconds is not None else ""))
        for name, reason in self.skipped.items():
            yield f"- Left out: {name}: {reason}"

    def _table(self) -> str:
        front = set(map(id, pareto_front(self.rows)))
        header = ["", "bytes", "bits per weight: quantized tensors", "file", "perplexity",
                  "loss, %", "KL divergence", "same top token, %", "quantizing, s", "front"]
        rows = []
        for family in FAMILIES:
            own = [row for row in self.rows if row.family == family]
            for row in sorted(own, key=lambda row: -row.figures.get("file_bytes", 1 << 60)):
                rows.append(_cells(row, id(row) in front))
        return table(header, rows)


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """Files that no other one beats in size and loss at once, the smallest first."""
    front: list[Row] = []
    for row in sorted((row for row in rows if not row.baseline),
                      key=lambda row: (row.file_bytes, row.loss)):
        if not front or row.loss < front[-1].loss:
            front.append(row)
    return front


def _cells(row: Row, front: bool) -> list[str]:
    figures = row.figures
    size = f"{row.file_bytes:,}" if "file_bytes" in figures else MISSING
    bits = [f"{figures[key]:.3f}" if key in figures else MISSING
            for key in ("bits_per_weight", "file_bits_per_weight")]
    cells = [f"{row.family} {row.name}", size, *bits, f"{figures['perplexity']:.4f}"]
    if row.baseline:
        return [*cells, *[MISSING] * 3, "", ""]
    return [
        *cells, f"{row.loss:+.2f} ± {row.error:.2f}", f"{figures['kl_divergence_mean']:.6f}",
        f"{figures['top_token_agreement']:.2f}",
        MISSING if row.seconds is None else _seconds(row.seconds), "●" if front else ""]


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    rule = [":--"] + ["--:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *rows])
