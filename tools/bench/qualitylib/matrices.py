"""Rounding errors on single matrices: llama.cpp's block types beside Ember's files.

The matrices are GPT-2's c_attn and c_proj of some layers in Conv1D order, inputs × outputs; they
are turned, so that blocks run along the inputs. Ember quantizes whole models, so one is made around
them, with GPT-2's width and heads, a layer for each pair, and a small feed-forward part of noise.
"""
from __future__ import annotations

import ctypes
import importlib.util
import json
import math
import re
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from peerslib import cache, weights
from peerslib.processes import BENCH_FOLDER, ember
from qualitylib.files import ember_refusal
from qualitylib.llama_model import Library
from qualitylib.report import MISSING, table
from qualitylib.scoring import Array
from qualitylib.settings import Recipe

TYPES = ("Q3_K", "IQ3_S", "IQ4_XS", "MXFP4", "Q4_0", "Q4_K", "IQ4_NL", "Q4_1", "Q5_0", "Q5_K",
         "Q5_1", "Q6_K", "Q8_0")
HEAD_WIDTH, FEED_FORWARD, POSITIONS = 64, 64, 64


@dataclass(frozen=True)
class Pair:
    """A layer's matrices, outputs × inputs, and estimated mean squares of the second's inputs."""

    attention: Array
    output: Array
    importance: Array

    @classmethod
    def of(cls, attention: Array, output: Array) -> Pair:
        """The inputs of c_proj are mixtures of values. Where the values' own inputs are white, as

        behind a norm, a value's mean square is the squared length of its row.
        """
        rows = attention.T.astype(np.float32)
        value = rows[2 * len(rows) // 3 :]
        importance = np.square(value, dtype=np.float64).sum(axis=1)
        return cls(rows, output.T.astype(np.float32), importance / importance.mean())


class Errors:
    """Squared errors of a type, collected over the layers."""

    def __init__(self) -> None:
        self.bits = self.weights = 0.0
        self.parts: dict[str, tuple[float, float]] = {}

    def add(self, kind: str, true: Array, found: Array, size: int | None, importance: Array | None
            ) -> None:
        """`size`: bytes to count, or none where the same matrix was counted before."""
        if true.shape != found.shape:
            raise SystemExit(f"{kind}: expected the shape {true.shape}, found {found.shape}")
        scale = 1.0 if importance is None else importance
        squares = (np.square(true.astype(np.float64) - found) * scale).sum()
        whole = (np.square(true, dtype=np.float64) * scale).sum()
        before = self.parts.get(kind, (0.0, 0.0))
        self.parts[kind] = before[0] + squares, before[1] + whole
        if size is not None:
            self.bits += 8 * size
            self.weights += true.size

    def row(self, name: str) -> dict[str, Any]:
        """Root mean square errors in percent of the weights' root mean square."""
        return {"name": name, "bits_per_weight": self.bits / self.weights, **{
            kind: 100 * math.sqrt(squares / whole)
            for kind, (squares, whole) in self.parts.items()}}


KINDS = ("c_attn", "c_proj", "c_proj weighted", "c_proj weighted, imatrix")


def read(path: Path) -> list[Pair]:
    tensors = weights.read_safetensors(path)
    layers = sorted(
        int(match[1]) for name in tensors
        if (match := re.fullmatch(r"h\.(\d+)\.attn\.c_attn\.weight", name)))
    if not layers:
        raise SystemExit(f"{path}: expected h.N.attn.c_attn.weight, found"
                         f" {len(tensors)} other tensors")
    try:
        pairs = [Pair.of(tensors[f"h.{layer}.attn.c_attn.weight"],
                         tensors[f"h.{layer}.attn.c_proj.weight"]) for layer in layers]
    except KeyError as error:
        raise SystemExit(f"{path}: expected the tensor {error}, found none") from error
    width = len(pairs[0].output)
    if any(pair.attention.shape != (3 * width, width) or pair.output.shape != (width, width)
           for pair in pairs) or width % HEAD_WIDTH:
        raise SystemExit(f"{path}: expected matrices of GPT-2's shapes and one width")
    return pairs


def compare(path: Path, program: Path, recipes: list[Recipe]) -> dict[str, Any]:
    """Errors of llama.cpp's types and of the recipes that need no calibration."""
    pairs = read(path)
    library = Library()
    rows = [_llama(name, pairs, library) for name in TYPES]
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place:
        checkpoint = Path(place) / "checkpoint"
        _write_checkpoint(checkpoint, pairs)
        for recipe in recipes:
            why = "its calibration needs a model that runs" if recipe.needs_calibration else (
                ember_refusal(program, list(recipe.options)))
            if why:
                skipped[f"Ember {recipe.name}"] = why
                continue
            cache.say(f"quantizing the matrices with {' '.join(recipe.options)}")
            file = Path(place) / "model.ember"
            ember(program, "quantize", str(checkpoint), "--output", str(file), *recipe.options)
            rows.append(_ember(recipe.name, file, pairs))
    return {"file": path.name, "layers": len(pairs), "skipped": skipped,
            "rows": sorted(rows, key=lambda row: row["bits_per_weight"])}


def _llama(name: str, pairs: list[Pair], library: Library) -> dict[str, Any]:
    kind, errors = gguf.GGMLQuantizationType[name], Errors()
    chunk = library.ggml.ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    pointer = ctypes.POINTER(ctypes.c_float)
    chunk.argtypes = [ctypes.c_int, pointer, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                      ctypes.c_int64, pointer]

    def rounded(matrix: Array, importance: Array | None) -> tuple[Array, int]:
        rows, columns = matrix.shape
        source = np.ascontiguousarray(matrix, np.float32)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        target = np.zeros((rows, columns // block * size), np.uint8)
        weight = None if importance is None else np.ascontiguousarray(importance, np.float32)
        chunk(int(kind), source.ctypes.data_as(pointer), target.ctypes.data, 0, rows, columns,
              weight.ctypes.data_as(pointer) if weight is not None else None)
        return gguf.quants.dequantize(target, kind).reshape(rows, columns), target.nbytes

    for pair in pairs:
        found, size = rounded(pair.attention, None)
        errors.add("c_attn", pair.attention, found, size, None)
        found, size = rounded(pair.output, None)
        errors.add("c_proj", pair.output, found, size, None)
        errors.add("c_proj weighted", pair.output, found, None, pair.importance)
        found, _ = rounded(pair.output, pair.importance)
        errors.add("c_proj weighted, imatrix", pair.output, found, None, pair.importance)
    return errors.row(f"llama.cpp {name}")


def read_ember(path: Path) -> dict[str, tuple[Array, int]]:
    """Every matrix of an Ember file with its bytes, by the independent reader of the format."""
    spec = importlib.util.spec_from_file_location(
        "read_model", BENCH_FOLDER.parent / "read_model.py")
    assert spec and spec.loader
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    try:
        model = reader.Model(path)
        return {
            name: (np.concatenate(list(model.chunks(tensor))), int(tensor.size))
            for name, tensor in model.tensors.items() if tensor.type != "f32"}
    except reader.Violation as error:
        raise SystemExit(f"{path.name}: {error}") from error


def _ember(name: str, file: Path, pairs: list[Pair]) -> dict[str, Any]:
    errors, tensors = Errors(), read_ember(file)
    for layer, pair in enumerate(pairs):
        place, width = f"layers.{layer}.attention", len(pair.output)
        for index, part in enumerate(("query", "key", "value")):
            found, size = tensors[f"{place}.{part}.weight"]
            errors.add("c_attn", pair.attention[index * width : (index + 1) * width], found, size,
                       None)
        found, size = tensors[f"{place}.output.weight"]
        errors.add("c_proj", pair.output, found, size, None)
        errors.add("c_proj weighted", pair.output, found, None, pair.importance)
    return errors.row(f"Ember {name}")


def _write_checkpoint(folder: Path, pairs: list[Pair]) -> None:
    """A GPT-2 model in the Hugging Face form, with a token for each byte and no merges."""
    width, generator = len(pairs[0].output), np.random.default_rng(1)
    # The bytes that GPT-2 writes as themselves, then the others as code points from 256 on.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    end = "<|endoftext|>"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": width,
        "n_layer": len(pairs), "n_head": width // HEAD_WIDTH, "n_inner": FEED_FORWARD,
        "n_positions": POSITIONS, "n_ctx": POSITIONS, "vocab_size": len(letters) + 1,
        "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new",
        "tie_word_embeddings": True, "bos_token_id": len(letters), "eos_token_id": len(letters)}))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "GPT2Tokenizer", "bos_token": end, "eos_token": end}))
    steps = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": [{
            "id": len(letters), "content": end, "special": True, "single_word": False,
            "lstrip": False, "rstrip": False, "normalized": False}],
        "normalizer": None, "pre_tokenizer": steps, "post_processor": None, "decoder": steps,
        "model": {"type": "BPE", "vocab": {**vocabulary, end: len(letters)}, "merges": []}}))

    def noise(*shape: int) -> Array:
        return generator.normal(0, 0.02, shape)

    tensors = {"wte.weight": noise(len(letters) + 1, width), "wpe.weight": noise(POSITIONS, width),
               "ln_f.weight": np.ones(width), "ln_f.bias": np.zeros(width)}
    for layer, pair in enumerate(pairs):
        parts = {
            "ln_1.weight": np.ones(width), "ln_1.bias": np.zeros(width),
            "ln_2.weight": np.ones(width), "ln_2.bias": np.zeros(width),
            "attn.c_attn.weight": pair.attention.T, "attn.c_attn.bias": np.zeros(3 * width),
            "attn.c_proj.weight": pair.output.T, "attn.c_proj.bias": np.zeros(width),
            "mlp.c_fc.weight": noise(width, FEED_FORWARD), "mlp.c_fc.bias": np.zeros(FEED_FORWARD),
            "mlp.c_proj.weight": noise(FEED_FORWARD, width), "mlp.c_proj.bias": np.zeros(width)}
        tensors |= {f"h.{layer}.{name}": values for name, values in parts.items()}
    header: dict[str, Any] = {}
    data = b""
    for name, values in tensors.items():
        part = np.ascontiguousarray(values, "<f2").tobytes()
        header[name] = {"dtype": "F16", "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def markdown(found: dict[str, Any]) -> str:
    lines = [
        f"**{found['file']}**: rounding errors of c_attn and c_proj of {found['layers']} layers",
        "",
        "- Root mean square of the error in percent of the weights'; blocks run along the inputs",
        "- Plain: the real inputs are not known. Weighted: by an estimate of the mean squares of"
        " c_proj's inputs, the squared lengths of the value rows of c_attn; imatrix: llama.cpp's"
        " quantizer is given them"]
    lines += [f"- Left out: {name}: {why}" for name, why in found["skipped"].items()]
    header = ["", "bits per weight", "c_attn, %", "c_proj, %", "c_proj weighted, %",
              "with imatrix, %"]
    rows = [[row["name"], f"{row['bits_per_weight']:.3f}",
             *(f"{row[kind]:.3f}" if kind in row else MISSING for kind in KINDS)]
            for row in found["rows"]]
    return "\n".join(lines) + "\n\n" + table(header, rows) + "\n"
