"""What is compared: Ember's precisions, and llama.cpp's formats with its repacking on and off."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EmberSetting:
    """One Ember file: what `ember quantize` is told."""

    bits: int
    label: str
    options: tuple[str, ...]

    @property
    def file_name(self) -> str:
        words = self.label.replace(",", "").replace("%", "percent").split()
        return "-".join(words) + ".ember"


@dataclass(frozen=True)
class LlamaSetting:
    """One GGUF file, and whether llama.cpp rearranges its weights while it loads them."""

    bits: int
    type: str
    repack: bool

    @property
    def label(self) -> str:
        return f"{self.type}, repacking {'on' if self.repack else 'off'}"

    @property
    def file_name(self) -> str:
        return f"{self.type}.gguf"


@dataclass(frozen=True)
class Llama2cSetting:
    """One program of llama2.c: `run` in fp32 or `runq` in int8."""

    bits: int
    label: str
    program: str
    file_name: str


Setting = EmberSetting | LlamaSetting | Llama2cSetting

GROUPS = {"q4": 4, "q8": 8, "f16": 16}


def ember_settings(bits: set[int], outliers: float) -> list[EmberSetting]:
    """The plain files; at 4 bits also with outliers. Calibrating would change no speed."""
    plain = ("--outliers", "0", "--recipe", "fast")
    settings = [
        EmberSetting(4, "q4", ("--bits", "4", *plain)),
        EmberSetting(8, "q8", ("--bits", "8", *plain)),
        EmberSetting(16, "f16", ("--bits", "16")),
    ]
    if outliers > 0:
        share = f"{outliers:g}"
        settings.insert(1, EmberSetting(
            4, f"q4, {share} % outliers", ("--bits", "4", "--outliers", share, "--recipe", "fast")))
    return [setting for setting in settings if setting.bits in bits]


def llama_settings(bits: set[int]) -> list[LlamaSetting]:
    types = {"Q4_0": 4, "Q4_K_M": 4, "Q8_0": 8, "F16": 16}
    return [
        LlamaSetting(size, type_, repack)
        for type_, size in types.items() if size in bits for repack in (True, False)]


def in_turn(first: list[Setting], second: list[Setting]) -> list[Setting]:
    """A B A B: one of each list in turn, spread evenly where one is longer."""
    placed = [
        ((index + 0.5) / len(items), setting)
        for items in (first, second) for index, setting in enumerate(items)]
    return [setting for _, setting in sorted(placed, key=lambda pair: pair[0])]
