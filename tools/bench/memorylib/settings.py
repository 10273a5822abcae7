"""What is measured: programs, and budgets in percent of the file."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Below this, llama.cpp is known not to get anywhere; Ember has to run nevertheless.
LEAST_LLAMA_PERCENT = 25


@dataclass(frozen=True)
class Budget:
    """A limit of memory in percent of the file's size; None for no limit."""

    percent: float | None

    @property
    def label(self) -> str:
        return "no limit" if self.percent is None else f"{self.percent:g} %"

    def limit(self, file: Path) -> int | None:
        if self.percent is None:
            return None
        return int(file.stat().st_size * self.percent / 100) // 4096 * 4096


@dataclass(frozen=True)
class Program:
    """Ember, or llama.cpp with its load-time repacking on or off."""

    label: str
    repack: bool | None = None

    @property
    def is_ember(self) -> bool:
        return self.repack is None

    def takes(self, budget: Budget) -> bool:
        return self.is_ember or budget.percent is None or budget.percent >= LEAST_LLAMA_PERCENT


EMBER = Program("Ember q4")
LLAMA = (
    Program("llama.cpp Q4_0, repacking off", False),
    Program("llama.cpp Q4_0, repacking on", True),
)


def programs(with_llama: bool) -> Iterable[Program]:
    """In turn."""
    return (EMBER, *LLAMA) if with_llama else (EMBER,)
