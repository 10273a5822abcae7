"""Writes a checkpoint as files of llama2.c: fp32 for `run`, int8 for `runq`, and a tokenizer.

    python -m peerslib.write_llama2c CHECKPOINT FOLDER

FOLDER gets model.bin, modelq.bin and tokenizer.bin. The layouts are those of llama2.c's export.py,
versions 0 and 2. The tokenizer is made up, since only the speed counts: each piece is one letter.
"""
from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from peerslib import weights
from peerslib.weights import Array, Shape

KINDS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down", "ffn_up")


def sizes(shape: Shape, vocabulary: int) -> bytes:
    """The seven int32 that both layouts begin with."""
    return struct.pack(
        "<7i", shape.width, shape.ffn, shape.layers, shape.heads, shape.kv_heads, vocabulary,
        shape.context)


def layers(tensors: dict[str, Array], shape: Shape, kind: str) -> Iterator[Array]:
    for layer in range(shape.layers):
        yield tensors[f"blk.{layer}.{kind}"]


def write_float(file: BinaryIO, tensors: dict[str, Array], shape: Shape) -> None:
    """Version 0: a negative vocabulary says that the head is not the table."""

    def put(values: Array) -> None:
        file.write(np.ascontiguousarray(values, "<f4").data)

    file.write(sizes(shape, shape.vocabulary if shape.tied else -shape.vocabulary))
    put(tensors["token_embd"])
    for kind in ("attn_norm", *KINDS[:4], "ffn_norm", *KINDS[4:]):
        for values in layers(tensors, shape, kind):
            put(values)
    put(tensors["output_norm"])
    file.write(bytes(4 * shape.context * (shape.width // shape.heads)))
    if not shape.tied:
        put(tensors["output"])


def write_int8(file: BinaryIO, tensors: dict[str, Array], shape: Shape) -> None:
    """Version 2, with the largest groups up to 64 that divide every row, as runq needs them."""
    group = 64
    while shape.width % group or shape.ffn % group:
        group //= 2

    def put(values: Array) -> None:
        blocks = np.asarray(values, "<f4").reshape(-1, group)
        scale = np.abs(blocks).max(axis=1) / 127
        quantized = np.round(blocks / np.where(scale == 0, 1, scale)[:, None]).astype(np.int8)
        file.write(quantized.data)
        file.write(scale.astype("<f4").data)

    header = struct.pack("<Ii", 0x616B3432, 2) + sizes(shape, shape.vocabulary)
    header += struct.pack("<B", shape.tied) + struct.pack("<i", group)
    file.write(header.ljust(256, b"\0"))
    for kind in ("attn_norm", "ffn_norm"):
        for values in layers(tensors, shape, kind):
            file.write(np.ascontiguousarray(values, "<f4").data)
    file.write(np.ascontiguousarray(tensors["output_norm"], "<f4").data)
    put(tensors["token_embd"])
    for kind in KINDS:
        for values in layers(tensors, shape, kind):
            put(values)
    if not shape.tied:
        put(tensors["output"])


def write_tokenizer(file: BinaryIO, vocabulary: int) -> None:
    file.write(struct.pack("<i", 1))
    for token in range(vocabulary):
        file.write(struct.pack("<fi", 0.0, 1) + bytes([ord("a") + token % 26]))


def main() -> None:
    checkpoint, folder = weights.read(Path(sys.argv[1])), Path(sys.argv[2])
    tensors = dict(checkpoint.parts)
    with open(folder / "model.bin", "wb") as file:
        write_float(file, tensors, checkpoint.shape)
    with open(folder / "modelq.bin", "wb") as file:
        write_int8(file, tensors, checkpoint.shape)
    with open(folder / "tokenizer.bin", "wb") as file:
        write_tokenizer(file, checkpoint.shape.vocabulary)


if __name__ == "__main__":
    main()
