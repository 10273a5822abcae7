#!/usr/bin/env python3
"""What zstd makes of a model file's weights: ratio and speed by block type and kind of tensor.

    compression.py model.q4 model.q8 ...                 the table
    compression.py model.q4 --levels 1 3 --frame 131072  other levels, smaller frames
    compression.py --gpt2 matrices.safetensors FOLDER    a checkpoint around the real GPT-2 matrices

The second form of the command writes a Hugging Face folder of three layers whose attention matrices are
those of the file; all else in it is random, so only its attention rows of the table mean anything. It
takes tokenizer.json from --tokenizer. Speeds are of one core, the best of three rounds; "from 100 MB/s"
is the speed at which weights arrive from a reader of 100 MB/s when one core decompresses behind it.
Needs numpy and zstandard.
"""
import argparse
import json
import pathlib
import shutil
import struct
import sys
import time

import numpy as np
import zstandard

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import read_model  # noqa: E402


def kind(name):
    for word in ("attention.", "feed_forward.", "embedding", "position", "head"):
        if word in name and "norm" not in name:
            return word.rstrip(".")
    return "vectors"


def groups(path):
    """(block type, kind) to the bytes of its tensors, one after another."""
    model = read_model.Model(path)
    parts = {}
    for tensor in model.tensors.values():
        data = model.data[tensor.offset : tensor.offset + tensor.size]
        parts.setdefault((tensor.type, kind(tensor.name)), []).append(np.asarray(data))
    return {key: np.concatenate(value).tobytes() for key, value in parts.items()}


def best(work, rounds=3):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(data, level, frame):
    pieces = [data[i : i + frame] for i in range(0, len(data), frame)]
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
    frames = [compressor.compress(piece) for piece in pieces]
    seconds = best(lambda: [compressor.compress(p) for p in pieces], 1 if level > 9 else 3)
    decompressor = zstandard.ZstdDecompressor()
    decode = best(lambda: [decompressor.decompress(f) for f in frames])
    return sum(map(len, frames)), len(data) / seconds / 1e6, len(data) / decode / 1e6


def table(paths, levels, frame, reader):
    print(f"{'file':14} {'type':4} {'tensors':12} {'bytes':>10} {'level':>5} {'of raw':>8}"
          f" {'in MB/s':>8} {'out MB/s':>8} {f'from {reader} MB/s':>13}")
    for path in paths:
        parts = groups(path)
        parts["all", "weights"] = b"".join(parts.values())
        for (name, what), data in parts.items():
            for level in levels:
                size, write, read = measure(data, level, frame)
                share = size / len(data)
                # Reading and decompressing overlap, so the slower of the two sets the pace.
                arrive = min(reader / share, read)
                print(f"{pathlib.Path(path).name:14} {name:4} {what:12} {len(data):10} {level:5}"
                      f" {share * 100:6.1f} % {write:8.0f} {read:8.0f} {arrive:8.0f} MB/s")


def checkpoint(matrices, folder, tokenizer):
    """A GPT-2 of three layers: real attention, random feed-forward matrices and tables."""
    data = pathlib.Path(matrices).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    entries = json.loads(data[8 : 8 + length])
    width, inner, context = 768, 3072, 64
    vocabulary = len(json.loads(pathlib.Path(tokenizer).read_text())["model"]["vocab"])
    random = np.random.default_rng(1)
    tensors = {}

    def add(name, shape, scale=0.02, offset=0.0):
        tensors[name] = (random.standard_normal(shape) * scale + offset).astype(np.float16)

    add("wte.weight", (vocabulary, width))
    add("wpe.weight", (context, width))
    for layer, original in enumerate((0, 5, 11)):
        name = f"h.{layer}."
        for part in ("c_attn", "c_proj"):
            entry = entries[f"h.{original}.attn.{part}.weight"]
            start, end = entry["data_offsets"]
            values = np.frombuffer(data[8 + length + start : 8 + length + end], np.float16)
            tensors[f"{name}attn.{part}.weight"] = values.reshape(entry["shape"])
            add(f"{name}attn.{part}.bias", (entry["shape"][1],), 0)
        for norm in ("ln_1", "ln_2"):
            add(f"{name}{norm}.weight", (width,), 0, 1)
            add(f"{name}{norm}.bias", (width,), 0)
        add(f"{name}mlp.c_fc.weight", (width, inner))
        add(f"{name}mlp.c_fc.bias", (inner,), 0)
        add(f"{name}mlp.c_proj.weight", (inner, width))
        add(f"{name}mlp.c_proj.bias", (width,), 0)
    add("ln_f.weight", (width,), 0, 1)
    add("ln_f.bias", (width,), 0)
    header, offset = {}, 0
    for name, values in tensors.items():
        header[name] = {
            "dtype": "F16", "shape": values.shape, "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": width, "n_layer": 3,
        "n_head": 12, "n_positions": context, "n_ctx": context, "vocab_size": vocabulary,
        "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "n_inner": inner}))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--levels", nargs="+", type=int, default=[1, 3, 19])
    parser.add_argument("--frame", type=int, default=2 << 20, help="bytes of a frame")
    parser.add_argument("--reader", type=int, default=100, help="MB/s of the storage")
    parser.add_argument("--gpt2", nargs=2, metavar=("MATRICES", "FOLDER"))
    parser.add_argument("--tokenizer", help="tokenizer.json for --gpt2")
    options = parser.parse_args()
    if options.gpt2:
        checkpoint(*options.gpt2, options.tokenizer)
    if options.files:
        table(options.files, options.levels, options.frame, options.reader)


if __name__ == "__main__":
    main()
