"""Scores the files: llama.cpp's here, Ember's with `ember compare`, over the same ids."""
from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from peerslib import cache
from peerslib.processes import ember, json_of, request_command
from qualitylib.files import Place
from qualitylib.scoring import Baseline, Protocol, Score

# Ember's and llama.cpp's F16 do the same in another order; so much their perplexities may differ.
SAME_MODEL = 0.005


@dataclass
class Row:
    """One file's figures; those of a family's baseline have no change."""

    family: str
    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    baseline: bool = False

    @property
    def loss(self) -> float:
        """Rise of the perplexity over the family's baseline, in percent."""
        return float(self.figures["perplexity_change_percent"])

    @property
    def error(self) -> float:
        return float(self.figures["perplexity_change_error_percent"])

    @property
    def file_bytes(self) -> int:
        return int(self.figures["file_bytes"])


def batches(files: list[Path], common: int) -> list[list[Path]]:
    """Files that fit in half of the memory together, beside `common` bytes in each batch."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 - common
    result: list[list[Path]] = []
    used = 0
    for file in files:
        needed = file.stat().st_size + (200 << 20)  # buffers of a context
        if not result or used + needed > limit:
            result.append([])
            used = 0
        result[-1].append(file)
        used += needed
    return result


def llama_scores(place: Place, files: list[Path], full: Path, ids: Path, protocol: Protocol
                 ) -> dict[Path, dict[str, Any]]:
    """Scores of GGUF files against the F16 one; those known from an earlier run are kept."""
    text = hashlib.sha256(ids.read_bytes()).hexdigest()
    found: dict[Path, dict[str, Any]] = {}
    places: dict[Path, Path] = {}
    for file in [full, *files]:
        origin = file.with_name(file.name + ".origin").read_text(encoding="utf-8")
        whole = full.with_name(full.name + ".origin").read_text(encoding="utf-8")
        key = json.dumps(["score 1", origin, whole, text, protocol.context, protocol.windows])
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        places[file] = file.parent / "scores" / f"{file.stem}-{name}.json"
        if places[file].exists():
            found[file] = json.loads(places[file].read_text(encoding="utf-8"))
    missing = [file for file in files if file not in found]
    for part in batches(missing, full.stat().st_size):
        cache.say(f"scoring {', '.join(file.stem for file in part)}")
        reply = place.llama({
            "do": "score", "files": [str(full), *map(str, part)], "ids": str(ids),
            "context": protocol.context, "windows": protocol.windows})
        for file, score in zip([full, *part], reply["scores"], strict=True):
            found[file] = score
            write(places[file], json.dumps(score) + "\n")
    return found


def ember_scores(program: Path, files: list[Path], full: Path, text: Path, protocol: Protocol
                 ) -> tuple[dict[Path, dict[str, Any]], dict[str, Any]]:
    """Scores by `ember compare` against Ember's own F16 file, and what it says of the text."""
    scores: dict[Path, dict[str, Any]] = {}
    reply: dict[str, Any] = {}
    # Its command wants two files at least; the F16 one is compared with itself where it is alone.
    for part in batches(files, full.stat().st_size) or [[full]]:
        cache.say(f"scoring {', '.join(file.stem for file in part)}")
        reply = ember(
            program, "compare", str(full), *map(str, part), "--text", str(text), "--preset",
            "llama.cpp", "--context", str(protocol.context), "--windows", str(protocol.windows))
        if reply["windows"] != protocol.windows or reply["first_scored"] != protocol.first:
            raise SystemExit(
                f"{text}: expected {protocol.windows} windows scored from {protocol.first}, found"
                f" {reply['windows']} from {reply['first_scored']}")
        for file, score in zip([full, *part], reply["models"], strict=True):
            scores[file] = score
    return scores, reply


def check_same_model(ember_full: dict[str, Any], llama_full: dict[str, Any]) -> None:
    ours, theirs = ember_full["perplexity"], llama_full["perplexity"]
    if not abs(math.log(ours / theirs)) < SAME_MODEL:
        raise SystemExit(
            "the two programs compute different functions: expected F16 perplexities within"
            f" {100 * SAME_MODEL:g} %, found {ours:.4f} and {theirs:.4f}")


def check_same_score(program: Path, full: Path, file: Path, text: Path, ids: list[int]) -> float:
    """Scores a short window of two Ember files here, from their logits, and with `ember compare`.

    Ends the program where the figures differ; returns the largest relative difference.
    """
    protocol = Protocol(32, 1)
    whole = np.array(ids, np.int32)
    fed, targets = protocol.window(whole, 0)

    def logits(path: Path) -> Any:
        reply = ember(program, "logits", str(path), "--tokens", ",".join(map(str, fed)), "--all",
                      "--top", "0")
        return np.array([[entry["logit"] for entry in position["logits"]]
                         for position in reply["positions"][-len(targets):]], np.float32)

    baseline, score = Baseline.of(logits(full), targets), Score()
    score.add(logits(file), baseline)
    here = score.summary()
    there = ember(program, "compare", str(full), str(file), "--text", str(text), "--preset",
                  "llama.cpp", "--context", "32", "--windows", "1")["models"][1]
    largest = 0.0
    for key in ("perplexity", "perplexity_standard_error", "perplexity_change_percent",
                "perplexity_change_error_percent", "kl_divergence_mean", "kl_divergence_max",
                "top_token_agreement"):
        difference = abs(here[key] - there[key]) / max(abs(there[key]), 1e-3)
        largest = max(largest, difference)
        if not difference < 0.01:
            raise SystemExit(
                f"{file}: expected both scorers to agree, found {key} {here[key]:.6g} here and"
                f" {there[key]:.6g} of ember compare")
    return largest


def bitsandbytes_scores(python: Path, checkpoint: Path, ids: Path, protocol: Protocol
                        ) -> dict[str, Any]:
    """NF4 and LLM.int8() against the unquantized model in fp32, all through transformers."""
    command = request_command("qualitylib.bitsandbytes_worker", {
        "folder": str(checkpoint), "ids": str(ids), "context": protocol.context,
        "windows": protocol.windows})
    return json_of([str(python), *command[1:]])


def write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
