"""Prints the bytes of a GGUF file's tensors that decoding a token reads.

    python -m peerslib.gguf_bytes FILE.gguf
"""
from __future__ import annotations

import sys

import gguf


def bytes_per_token(path: str) -> int:
    """All tensors; of the embedding table one row, unless it is the head as well."""
    sizes = {
        tensor.name: (int(tensor.n_bytes), int(tensor.shape[-1]))
        for tensor in gguf.GGUFReader(path).tensors}
    total = sum(size for size, _ in sizes.values())
    if "output.weight" in sizes:
        size, rows = sizes["token_embd.weight"]
        total -= size - size // rows
    return total


if __name__ == "__main__":
    print(bytes_per_token(sys.argv[1]))
