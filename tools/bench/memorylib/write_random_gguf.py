"""Writes a GGUF file of random weights in Q4_0, without a checkpoint of four times its size.

    python -m memorylib.write_random_gguf SHAPE OUTPUT.gguf

The shape is the numbers of cache.SHAPES with commas. As llama-quantize does it, the head is Q6_K
and norms are f32. Blocks are drawn once, and every tensor is filled with slices of them.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np

from peerslib.weights import LAYER_NAMES, Array, Shape
from peerslib.write_gguf import describe

Q4_0 = gguf.GGMLQuantizationType.Q4_0
Q6_K = gguf.GGMLQuantizationType.Q6_K
POOL_BLOCKS = {Q4_0: 1 << 20, Q6_K: 1 << 17}
CONTEXT = 2048


def blocks(kind: gguf.GGMLQuantizationType, random: np.random.Generator) -> Array:
    """Random quanta with such scales that weights have a deviation of some 0.02."""
    count, size = POOL_BLOCKS[kind], gguf.GGML_QUANT_SIZES[kind][1]
    pool = random.integers(0, 256, (count, size), np.uint8)
    if kind == Q4_0:
        # f16 scale, 32 numbers from -8 to 7.
        pool[:, :2] = np.full(count, 0.0043, "<f2").view(np.uint8).reshape(count, 2)
    else:
        # 256 numbers from -32 to 31, 16 scales in int8, f16 scale of these.
        pool[:, 192:208] = random.integers(48, 80, (count, 16), np.uint8)
        pool[:, 208:] = np.full(count, 0.000017, "<f2").view(np.uint8).reshape(count, 2)
    return pool


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, ffn = shape.width, shape.ffn
    kv_width = width // shape.heads * shape.kv_heads
    rows = {"attn_k": kv_width, "attn_v": kv_width, "ffn_gate": ffn, "ffn_up": ffn}
    yield "token_embd", (shape.vocabulary, width)
    for layer in range(shape.layers):
        for name in LAYER_NAMES:
            sizes: tuple[int, ...] = (rows.get(name, width), ffn if name == "ffn_down" else width)
            yield f"blk.{layer}.{name}", (width,) if name.endswith("_norm") else sizes
    yield "output_norm", (width,)
    yield "output", (shape.vocabulary, width)


def write(shape: Shape, output: Path) -> None:
    for columns in (shape.width, shape.ffn):
        if columns % 256:
            raise SystemExit(f"expected widths that are multiples of 256, found {columns}")
    writer = gguf.GGUFWriter(output, "llama")
    describe(writer, shape, gguf.LlamaFileType.MOSTLY_Q4_0)
    kinds = {}
    for name, sizes in tensors(shape):
        if len(sizes) == 1:
            writer.add_tensor_info(
                f"{name}.weight", sizes, np.dtype(np.float32), 4 * sizes[0])
            continue
        kinds[name] = kind = Q6_K if name == "output" else Q4_0
        numbers, size = gguf.GGML_QUANT_SIZES[kind]
        row = sizes[1] // numbers * size
        writer.add_tensor_info(
            f"{name}.weight", (sizes[0], row), np.dtype(np.uint8), sizes[0] * row, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(1)
    pools = {kind: blocks(kind, random) for kind in POOL_BLOCKS}
    for name, sizes in tensors(shape):
        if len(sizes) == 1:
            writer.write_tensor_data(np.ones(sizes, np.float32))
            continue
        kind = kinds[name]
        count = sizes[0] * sizes[1] // gguf.GGML_QUANT_SIZES[kind][0]
        start = int(random.integers(POOL_BLOCKS[kind]))
        chosen = np.arange(start, start + count) % POOL_BLOCKS[kind]
        writer.write_tensor_data(pools[kind][chosen])
    writer.close()


def main() -> None:
    width, layers, heads, kv_heads, ffn, vocabulary = map(int, sys.argv[1].split(","))
    write(Shape(width, layers, heads, kv_heads, ffn, vocabulary, CONTEXT, 1e-5, 10000.0, False),
          Path(sys.argv[2]))


if __name__ == "__main__":
    main()
