#!/usr/bin/env python3
"""Write a Llama checkpoint of random weights: a Hugging Face folder of any size, for benchmarks.

    make_checkpoint.py FOLDER --shape 1.1B                    the shape of TinyLlama 1.1B, fp16
    make_checkpoint.py FOLDER --shape 7B --dtype bf16         the shape of Llama 7B, in shards
    make_checkpoint.py FOLDER --width 512 --layers 4 --heads 8 --kv-heads 2 --ffn 1376 --vocab 4096

FOLDER gets config.json, tokenizer.json and model.safetensors; beyond 4 GB, shards of at most 4 GB
with their index. Speed and memory of a model do not depend on what its weights say, so random ones
do; its text is noise.

Weights are normal with deviation 0.02, norms are 1. Drawing billions of normal numbers takes
minutes, so 2^24 of them are drawn once, and every tensor is filled with slices of that pool from a
random place on, wrapping round. So values repeat across tensors: harmless for quantization, which
looks at blocks, but no test of compression. Equal options give equal bytes (with the same release of
numpy). Memory stays at about 200 MB, whatever the size.

The tokenizer is byte-level BPE: the 256 bytes, then for each further id the token of an earlier id
with one more byte. So ids are dense, every text can be encoded, and every id stands for some bytes.
Needs numpy.
"""
import argparse
import json
import os
import struct
import sys
import time

import numpy as np

SHAPES = {
    # width, layers, heads, key/value heads, feed-forward, vocabulary
    "tiny": (64, 2, 4, 2, 172, 512),
    "1.1B": (2048, 22, 32, 4, 5632, 32000),
    "7B": (4096, 32, 32, 32, 11008, 32000),
}
DTYPES = {"f16": ("F16", "float16", 2), "f32": ("F32", "float32", 4), "bf16": ("BF16", "bfloat16", 2)}
POOL_VALUES = 1 << 24
DEVIATION = 0.02
SHARD_BYTES = 4 * 10**9


def tensors(shape, tied):
    """Names and shapes, in the order in which a model uses them."""
    width, layers, heads, kv_heads, ffn, vocab = shape
    kv_width = width // heads * kv_heads
    yield "model.embed_tokens.weight", (vocab, width)
    for layer in range(layers):
        stem = f"model.layers.{layer}."
        yield stem + "input_layernorm.weight", (width,)
        yield stem + "self_attn.q_proj.weight", (width, width)
        yield stem + "self_attn.k_proj.weight", (kv_width, width)
        yield stem + "self_attn.v_proj.weight", (kv_width, width)
        yield stem + "self_attn.o_proj.weight", (width, width)
        yield stem + "post_attention_layernorm.weight", (width,)
        yield stem + "mlp.gate_proj.weight", (ffn, width)
        yield stem + "mlp.up_proj.weight", (ffn, width)
        yield stem + "mlp.down_proj.weight", (width, ffn)
    yield "model.norm.weight", (width,)
    if not tied:
        yield "lm_head.weight", (vocab, width)


def count(shape):
    result = 1
    for n in shape:
        result *= n
    return result


def stored(values, dtype):
    """float32 values as the bytes' array of a type."""
    if dtype == "f16":
        return values.astype("<f2")
    if dtype == "f32":
        return values.astype("<f4")
    bits = values.astype("<f4").view("<u4")  # bf16: the upper half, rounded to nearest, ties to even
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


class Weights:
    """The pool, and the bytes of tensors made from it."""

    def __init__(self, dtype, seed):
        self.random = np.random.default_rng(seed)
        pool = self.random.standard_normal(POOL_VALUES, dtype=np.float32)
        pool *= np.float32(DEVIATION)
        self.pool = stored(pool, dtype)
        self.one = stored(np.ones(1, np.float32), dtype)

    def write(self, file, shape):
        if len(shape) == 1:
            file.write(np.repeat(self.one, shape[0]).data)
            return
        left, place = count(shape), int(self.random.integers(POOL_VALUES))
        while left:
            part = self.pool[place : place + left]
            file.write(part.data)
            left, place = left - len(part), 0


def shards(entries, size):
    """Runs of tensors of at most SHARD_BYTES; a single larger one stands alone."""
    run, total = [], 0
    for name, shape in entries:
        bytes_ = count(shape) * size
        if run and total + bytes_ > SHARD_BYTES:
            yield run
            run, total = [], 0
        run.append((name, shape))
        total += bytes_
    yield run


def write_safetensors(path, entries, type_name, size, weights, progress):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in entries:
        end = offset + count(shape) * size
        header[name] = {"dtype": type_name, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in entries:
            weights.write(file, shape)
            progress(count(shape) * size)


def byte_alphabet():
    """GPT-2's printable character for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def tokenizer(vocab):
    alphabet = byte_alphabet()
    pieces, merges = list(alphabet), []
    for k in range(vocab - 256):
        left, right = pieces[k // 256], alphabet[k % 256]
        merges.append([left, right])
        pieces.append(left + right)
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": None, "pre_tokenizer": step, "post_processor": None, "decoder": step,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False, "vocab": {p: i for i, p in enumerate(pieces)}, "merges": merges,
        },
    }


def configuration(shape, args):
    width, layers, heads, kv_heads, ffn, vocab = shape
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width,
        "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "vocab_size": vocab,
        "max_position_embeddings": args.context, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": args.tied, "attention_bias": False,
        "mlp_bias": False, "torch_dtype": DTYPES[args.dtype][1],
    }


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog="See the head of this file for the details.")
    parser.add_argument("folder", help="folder to make; it must not exist, or be empty")
    parser.add_argument("--shape", choices=SHAPES, help="a named shape; the options below change it")
    names = ("width", "layers", "heads", "kv-heads", "ffn", "vocab")
    for name in names:
        parser.add_argument(f"--{name}", type=int, metavar="N")
    parser.add_argument("--context", type=int, default=2048, metavar="N", help="default: 2048")
    parser.add_argument("--tied", action="store_true", help="the head is the embedding table")
    parser.add_argument("--dtype", choices=DTYPES, default="f16", help="default: f16")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
    args = parser.parse_args()
    given = [getattr(args, name.replace("-", "_")) for name in names]
    base = SHAPES[args.shape] if args.shape else (None,) * len(names)
    shape = tuple(b if g is None else g for g, b in zip(given, base))
    for name, value in zip(names, shape):
        if value is None:
            parser.error(f"--{name}: expected a number, or a --shape, found neither")
        if value < 1:
            parser.error(f"--{name}: expected 1 or more, found {value}")
    width, _, heads, kv_heads, _, vocab = shape
    if width % heads or width // heads % 2:
        parser.error(f"--heads: expected a divisor of {width} with heads of even width, found {heads}")
    if heads % kv_heads:
        parser.error(f"--kv-heads: expected a divisor of {heads}, found {kv_heads}")
    if vocab < 256:
        parser.error(f"--vocab: expected 256 (one token per byte) or more, found {vocab}")
    if args.context < 1:
        parser.error(f"--context: expected 1 or more, found {args.context}")
    if os.path.isdir(args.folder) and os.listdir(args.folder):
        parser.error(f"{args.folder}: expected a new or an empty folder, found one with files")
    return args, shape


def main():
    args, shape = parse()
    type_name, _, size = DTYPES[args.dtype]
    entries = list(tensors(shape, args.tied))
    total = sum(count(s) for _, s in entries)
    start, done = time.monotonic(), 0

    def progress(bytes_):
        nonlocal done
        done += bytes_
        if sys.stderr.isatty():
            print(f"\r{done / 1e9:.2f} of {total * size / 1e9:.2f} GB", end="", file=sys.stderr)

    os.makedirs(args.folder, exist_ok=True)
    for name, value in (("config.json", configuration(shape, args)),
                        ("tokenizer.json", tokenizer(shape[5]))):
        with open(os.path.join(args.folder, name), "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False)
    weights = Weights(args.dtype, args.seed)
    runs = list(shards(entries, size))
    places = {}
    for index, run in enumerate(runs, 1):
        name = "model.safetensors"
        if len(runs) > 1:
            name = f"model-{index:05}-of-{len(runs):05}.safetensors"
        write_safetensors(
            os.path.join(args.folder, name), run, type_name, size, weights, progress)
        places.update((tensor, name) for tensor, _ in run)
    if len(runs) > 1:
        index = {"metadata": {"total_size": total * size}, "weight_map": places}
        with open(os.path.join(args.folder, "model.safetensors.index.json"), "w") as file:
            json.dump(index, file)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{args.folder}: {total:,} weights, {total * size:,} bytes in {len(runs)} file(s),"
          f" {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"make_checkpoint.py: {error}")
