"""Reads the vocabulary of a tokenizer.json of the BPE kind.

Scoring does not need it, the ids being given, but llama.cpp wants one in the file, and a file's
size is compared with another's that holds one.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # gguf.TokenType


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by their ids, the kind of each, and merges as pairs joined by a space."""

    tokens: list[str]
    kinds: list[int]
    merges: list[str]


def read(folder: Path, size: int) -> Vocabulary:
    """The tokenizer of a Hugging Face folder, filled up to the model's `size`."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise SystemExit(f"{path}: expected a tokenizer, found none")
    data = json.loads(path.read_text(encoding="utf-8"))
    model = data.get("model", {})
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise SystemExit(f"{path}: expected a tokenizer of the type BPE, found {model.get('type')}")
    tokens = [f"[PAD{index}]" for index in range(size)]
    kinds = [UNUSED] * size
    entries = [(token, index, NORMAL) for token, index in model["vocab"].items()]
    entries += [
        (added["content"], added["id"], CONTROL if added.get("special") else USER_DEFINED)
        for added in data.get("added_tokens", [])]
    for token, index, kind in entries:
        if not 0 <= index < size:
            raise SystemExit(f"{path}: expected ids below {size}, found {index}")
        tokens[index], kinds[index] = token, kind
    # Newer files have them as pairs, older ones as text.
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return Vocabulary(tokens, kinds, merges)
