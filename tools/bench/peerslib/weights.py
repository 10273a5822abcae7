"""Reads Llama checkpoints: Hugging Face folders and llama2.c's .bin files.

Both come out in one form: GGUF's tensor names, and rows of the query and key matrices so ordered
that rotary embedding turns adjacent pairs (2i, 2i + 1), which is how the authors of Llama,
llama.cpp and llama2.c have it. Hugging Face stores the two halves of each head one after the other.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Shape:
    """The sizes and constants of a Llama model."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    context: int
    epsilon: float
    rope_base: float
    tied: bool


@dataclass
class Checkpoint:
    """A model's shape, and its tensors as (GGUF name, values), f16 or f32, in file order."""

    shape: Shape
    parts: Iterator[tuple[str, Array]]


LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def read(path: Path) -> Checkpoint:
    """Opens a checkpoint; tensors are mapped, and copied one at a time where they must change."""
    return _read_folder(path) if path.is_dir() else _read_llama2c(path)


def _read_folder(folder: Path) -> Checkpoint:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("architectures") != ["LlamaForCausalLM"]:
        raise SystemExit(
            f"{folder}: expected LlamaForCausalLM, found {config.get('architectures')}")
    if config.get("rope_scaling") or config.get("attention_bias") or config.get("mlp_bias"):
        raise SystemExit(f"{folder}: expected neither scaled positions nor biases, found some")
    tensors = read_safetensors_folder(folder)
    # Newer configurations keep it in a table of its own.
    base = config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10000.0)
    shape = Shape(
        width=config["hidden_size"], layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config.get("num_key_value_heads", config["num_attention_heads"]),
        ffn=config["intermediate_size"], vocabulary=config["vocab_size"],
        context=config["max_position_embeddings"], epsilon=config["rms_norm_eps"],
        rope_base=base, tied=bool(config.get("tie_word_embeddings", False)))
    head = config.get("head_dim") or shape.width // shape.heads
    if head * shape.heads != shape.width:
        raise SystemExit(f"{folder}: expected heads of {shape.width // shape.heads}, found {head}")

    def parts() -> Iterator[tuple[str, Array]]:
        yield "token_embd", tensors["model.embed_tokens.weight"]
        for layer in range(shape.layers):
            for name, source in LAYER_NAMES.items():
                values = tensors[f"model.layers.{layer}.{source}.weight"]
                if name == "attn_q":
                    values = _adjacent(values, shape.heads)
                elif name == "attn_k":
                    values = _adjacent(values, shape.kv_heads)
                yield f"blk.{layer}.{name}", values
        yield "output_norm", tensors["model.norm.weight"]
        if not shape.tied:
            yield "output", tensors["lm_head.weight"]

    return Checkpoint(shape, parts())


def _adjacent(rows: Array, heads: int) -> Array:
    """[heads · (first half, second half), columns] to [heads · pairs, columns]."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape)


def read_safetensors_folder(folder: Path) -> dict[str, Array]:
    """All tensors of a Hugging Face folder, mapped."""
    tensors: dict[str, Array] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors.update(read_safetensors(path))
    return tensors


def read_safetensors(path: Path) -> dict[str, Array]:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= os.fstat(file.fileno()).st_size - 8:
            raise SystemExit(f"{path}: expected a safetensors file, found none")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise SystemExit(f"{path}: expected a header in JSON: {error}") from error
    data = np.memmap(path, np.uint8, "r", offset=8 + length)
    tensors: dict[str, Array] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        stored = data[begin:end]
        if entry["dtype"] == "BF16":
            values = (stored.view("<u2").astype("<u4") << 16).view("<f4")
        elif entry["dtype"] in ("F16", "F32"):
            values = stored.view({"F16": "<f2", "F32": "<f4"}[entry["dtype"]])
        else:
            raise SystemExit(f"{path}: {name}: expected F16, BF16 or F32, found {entry['dtype']}")
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def _read_llama2c(path: Path) -> Checkpoint:
    """llama2.c's legacy layout: seven int32, then fp32 tensors, all layers of a kind together."""
    header = np.fromfile(path, "<i4", 7)
    width, ffn, layers, heads, kv_heads, vocabulary, context = (int(value) for value in header)
    tied, vocabulary = vocabulary > 0, abs(vocabulary)
    kv_width = width // heads * kv_heads
    data = np.memmap(path, "<f4", "r", offset=28)
    place = 0

    def take(*sizes: int) -> Array:
        nonlocal place
        count = int(np.prod(sizes))
        values = data[place : place + count].reshape(sizes)
        place += count
        return values

    table = take(vocabulary, width)
    sizes = {
        "attn_norm": (width,), "attn_q": (width, width), "attn_k": (kv_width, width),
        "attn_v": (kv_width, width), "attn_output": (width, width), "ffn_norm": (width,),
        "ffn_gate": (ffn, width), "ffn_down": (width, ffn), "ffn_up": (ffn, width)}
    stacks = {name: take(layers, *size) for name, size in sizes.items()}
    final = take(width)
    take(context, width // heads)  # tables of cosines and sines, which nobody reads any more
    output = table if tied else take(vocabulary, width)
    shape = Shape(width, layers, heads, kv_heads, ffn, vocabulary, context, 1e-5, 10000.0, tied)

    def parts() -> Iterator[tuple[str, Array]]:
        yield "token_embd", table
        for layer in range(layers):
            for name in LAYER_NAMES:
                yield f"blk.{layer}.{name}", stacks[name][layer]
        yield "output_norm", final
        if not tied:
            yield "output", output

    return Checkpoint(shape, parts())
