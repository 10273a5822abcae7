"""Whether both programs compute the same function of the same weights."""
from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from pathlib import Path

from peerslib.processes import ember, llama

TOKENS = 48

# Both hold weights and cache in fp16 and add in another order; llama.cpp also rounds activations to
# fp16 before each product. That moves a logit by 0.002 of the logits' spread in small models and by
# 0.015 in the shape of 1.1 billion weights. A wrong order of the query's or the key's rows, or a
# wrong rotation, moves it by 0.15 to 2; only the shape "tiny" is too small to tell, attention
# weighing too little there.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Agreement:
    """How far the logits of the two lie apart, at most, in standard deviations of the logits."""

    tokens: int
    largest_difference: float
    same_top_token: bool


def compare(ember_program: Path, ember_file: Path, gguf_file: Path, vocabulary: int,
            context: int) -> Agreement:
    """Feeds the same tokens to both at F16, at once and one by one.

    Ends the program where the logits behind the last token differ.
    """
    chosen = random.Random(7)
    tokens = [chosen.randrange(vocabulary) for _ in range(min(TOKENS, context))]
    ours = [
        entry["logit"] for entry in ember(
            ember_program, "logits", str(ember_file), "--tokens", ",".join(map(str, tokens)),
            "--top", "0")["positions"][-1]["logits"]]
    reply = llama({"do": "logits", "file": str(gguf_file), "repack": False, "context": 512,
                   "tokens": tokens})
    largest, same = 0.0, True
    for theirs in (reply["one_by_one"], reply["at_once"]):
        spread = statistics.pstdev(theirs)
        difference = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        largest = max(largest, difference / spread)
        same = same and ours.index(max(ours)) == theirs.index(max(theirs))
    if not largest <= TOLERANCE:
        raise SystemExit(
            "the two programs compute different functions: expected logits at F16 within"
            f" {TOLERANCE:g} standard deviations, found {largest:.3g};"
            " a comparison of speed would mean nothing")
    return Agreement(len(tokens), largest, same)
