"""What is compared: llama.cpp's types with and without importance matrix, and Ember's recipes."""
from __future__ import annotations

import shlex
from dataclasses import dataclass

CONTEXT = 512  # tokens of a window, in llama.cpp's protocol

LLAMA_TYPES = ("Q4_0", "Q4_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS", "Q5_K_M", "Q6_K", "Q8_0")

# {calibration} stands for the text of --calibration; a recipe with it is left out without one, and
# one that the program does not know is left out as well.
EMBER_RECIPES = (
    "4 bits=--bits 4",
    "8 bits=--bits 8",
    "fast=--recipe fast",
    "balanced=--recipe balanced --calibrate {calibration}",
    "best=--recipe best --calibrate {calibration}",
    "target 4.5=--target-bits 4.5 --calibrate {calibration}",
    "target 5=--target-bits 5 --calibrate {calibration}",
)
CALIBRATION = "{calibration}"

LLAMA, LLAMA_IMPORTANCE, EMBER, BITSANDBYTES = (
    "llama.cpp", "llama.cpp, imatrix", "Ember", "bitsandbytes")
FAMILIES = (EMBER, LLAMA, LLAMA_IMPORTANCE, BITSANDBYTES)


@dataclass(frozen=True)
class LlamaSetting:
    """A type of llama.cpp's quantizer."""

    type: str
    importance: bool

    @property
    def file_name(self) -> str:
        return f"{self.type}{'-imatrix' if self.importance else ''}.gguf"


@dataclass(frozen=True)
class Recipe:
    """What `ember quantize` is told, and a name for it."""

    name: str
    options: tuple[str, ...]

    @property
    def file_name(self) -> str:
        return "".join(c if c.isalnum() or c in ".-" else "-" for c in self.name) + ".ember"

    @property
    def needs_calibration(self) -> bool:
        return any(CALIBRATION in option for option in self.options)

    def arguments(self, calibration: str) -> list[str]:
        return [option.replace(CALIBRATION, calibration) for option in self.options]


def parse_recipe(text: str) -> Recipe:
    """NAME=OPTIONS; raises ValueError."""
    name, separator, options = text.partition("=")
    if not separator or not name.strip():
        raise ValueError(f"expected NAME=OPTIONS such as 'q4=--bits 4', found {text!r}")
    return Recipe(name.strip(), tuple(shlex.split(options)))


def llama_settings(types: list[str], importance: bool) -> list[LlamaSetting]:
    return [LlamaSetting(type_, used) for type_ in types
            for used in ((False, True) if importance else (False,))]
