"""Reads a Hugging Face folder of the Llama or GPT-2 architecture in GGUF's terms."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from peerslib import weights
from peerslib.weights import Array


@dataclass
class Model:
    """An architecture's name, its numbers (GGUF's keys), and its tensors (GGUF's names)."""

    architecture: str
    vocabulary: int
    integers: dict[str, int]
    floats: dict[str, float]
    tensors: Iterator[tuple[str, Array]]
    tokens: dict[str, int] = field(default_factory=dict)


# GGUF's names and Hugging Face's, of a layer of GPT-2; each has a weight and a bias.
GPT2_LAYER = {
    "attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}


def read(folder: Path) -> Model:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SystemExit(f"{path}: expected JSON: {error}") from error
    known = {"LlamaForCausalLM": _llama, "GPT2LMHeadModel": _gpt2}
    name = (config.get("architectures") or ["nothing"])[0]
    if name not in known:
        raise SystemExit(f"{path}: expected one of {', '.join(known)}, found {name}")
    try:
        model = known[name](folder, config)
    except KeyError as error:
        raise SystemExit(f"{path}: expected {error}, found none") from error
    model.tokens = {
        key: config[f"{key}_token_id"] for key in ("bos", "eos")
        if isinstance(config.get(f"{key}_token_id"), int)}
    return model


def _llama(folder: Path, _: dict[str, Any]) -> Model:
    checkpoint = weights.read(folder)
    shape = checkpoint.shape
    return Model(
        "llama", shape.vocabulary,
        {"context_length": shape.context, "embedding_length": shape.width,
         "block_count": shape.layers, "feed_forward_length": shape.ffn,
         "attention.head_count": shape.heads, "attention.head_count_kv": shape.kv_heads,
         "rope.dimension_count": shape.width // shape.heads, "vocab_size": shape.vocabulary},
        {"rope.freq_base": shape.rope_base, "attention.layer_norm_rms_epsilon": shape.epsilon},
        ((name + ".weight", values) for name, values in checkpoint.parts))


def _gpt2(folder: Path, config: dict[str, Any]) -> Model:
    if config.get("activation_function", "gelu_new") not in ("gelu_new", "gelu_pytorch_tanh"):
        raise SystemExit(
            f"{folder}: expected the activation gelu_new, found {config['activation_function']}")
    tensors = {
        name.removeprefix("transformer."): values
        for name, values in weights.read_safetensors_folder(folder).items()}
    width, layers = config["n_embd"], config["n_layer"]

    def parts() -> Iterator[tuple[str, Array]]:
        yield "token_embd.weight", tensors["wte.weight"]
        yield "position_embd.weight", tensors["wpe.weight"].astype(np.float32)
        for layer in range(layers):
            for name, source in GPT2_LAYER.items():
                values = tensors[f"h.{layer}.{source}.weight"]
                # Conv1D keeps inputs × outputs.
                yield f"blk.{layer}.{name}.weight", values.T if values.ndim == 2 else values
                yield f"blk.{layer}.{name}.bias", tensors[f"h.{layer}.{source}.bias"]
        for kind in ("weight", "bias"):
            yield f"output_norm.{kind}", tensors[f"ln_f.{kind}"]
        if not config.get("tie_word_embeddings", True):
            yield "output.weight", tensors["lm_head.weight"]

    return Model(
        "gpt2", config["vocab_size"],
        {"context_length": config["n_positions"], "embedding_length": width,
         "block_count": layers, "feed_forward_length": config.get("n_inner") or 4 * width,
         "attention.head_count": config["n_head"]},
        {"attention.layer_norm_epsilon": config["layer_norm_epsilon"]}, parts())
