"""Whether both programs compute the same function of the same weights."""
from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from pathlib import Path

from peerslib.processes import ember, llama

TOKENS = 8

# Both hold weights and cache in fp16 and add in another order; llama.cpp also rounds activations to
# fp16 before each product. That moves a logit by some thousandths of the logits' spread. A wrong
# order of the query's rows, or a wrong rotation, moves them by more than the spread itself.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Agreement:
    """How far the logits of the two lie apart, at most, in standard deviations of the logits."""

    largest_difference: float
    positions: int
    same_top_tokens: int


def compare(ember_program: Path, ember_file: Path, gguf_file: Path, vocabulary: int) -> Agreement:
    """Feeds the same tokens to both at F16; ends the program where the logits differ."""
    chosen = random.Random(7)
    tokens = [chosen.randrange(vocabulary) for _ in range(TOKENS)]
    ours = [
        [entry["logit"] for entry in position["logits"]]
        for position in ember(
            ember_program, "logits", str(ember_file), "--tokens", ",".join(map(str, tokens)),
            "--all", "--top", "0")["positions"]]
    reply = llama({"do": "logits", "file": str(gguf_file), "repack": False, "context": 512,
                   "tokens": tokens})
    theirs: list[list[float]] = reply["one_by_one"]
    pairs = list(zip(ours, theirs, strict=True)) + [(ours[-1], reply["at_once"])]
    largest, same = 0.0, 0
    for mine, other in pairs:
        spread = statistics.pstdev(other)
        largest = max(
            largest, max(abs(a - b) for a, b in zip(mine, other, strict=True)) / spread)
        same += mine.index(max(mine)) == other.index(max(other))
        # A different top token is a difference only if it is not a tie.
        gap = max(other) - other[mine.index(max(mine))]
        largest = max(largest, gap / spread)
    if not largest <= TOLERANCE:
        raise SystemExit(
            "the two programs compute different functions: expected logits at F16 within"
            f" {TOLERANCE:g} standard deviations, found {largest:.3g};"
            " a comparison of speed would mean nothing")
    return Agreement(largest, len(pairs), same)
