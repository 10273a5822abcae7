"""The files that are measured: made once, kept in a cache folder, several gigabytes.

Every file is written under a temporary name and renamed when it is complete; beside it lies a note
of what it was made from, and it is made again when that changes.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peerslib.processes import BENCH_FOLDER, ember, llama, python_module, run
from peerslib.settings import EmberSetting, LlamaSetting

# Width, layers, heads, key/value heads, feed-forward, vocabulary, as in make_checkpoint.py.
SHAPES = {
    "tiny": (64, 2, 4, 2, 172, 512),
    "1.1B": (2048, 22, 32, 4, 5632, 32000),
    "7B": (4096, 32, 32, 32, 11008, 32000),
}


def say(text: str) -> None:
    print(f"{Path(sys.argv[0]).stem}: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Subject:
    """A checkpoint, and the folder of the files made from it."""

    name: str
    checkpoint: Path
    folder: Path
    weights: int
    context: int


def parse_shape(text: str) -> tuple[int, ...]:
    """A name, or WIDTHxLAYERSxFFNxHEADSxKVHEADSxVOCABULARY."""
    if text in SHAPES:
        return SHAPES[text]
    parts = text.split("x")
    if len(parts) != 6 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise SystemExit(
            f"--shape: expected {', '.join(SHAPES)} or WIDTHxLAYERSxFFNxHEADSxKVHEADSxVOCABULARY,"
            f" found {text}")
    width, layers, ffn, heads, kv_heads, vocabulary = map(int, parts)
    return width, layers, heads, kv_heads, ffn, vocabulary


def random_subject(root: Path, text: str) -> Subject:
    """Random weights of a shape; the checkpoint is written by make_checkpoint.py."""
    width, layers, heads, kv_heads, ffn, vocabulary = shape = parse_shape(text)
    layer = 2 * width * width + 2 * width * (width // heads * kv_heads) + 3 * width * ffn
    folder = root / "models" / f"random-{text}"
    subject = Subject(
        f"random weights, shape {text}", folder / "checkpoint", folder,
        layers * layer + 2 * vocabulary * width, 2048)
    options = [
        item for name, value in zip(
            ("width", "layers", "heads", "kv-heads", "ffn", "vocab"), shape, strict=True)
        for item in (f"--{name}", str(value))]

    def build(path: Path) -> None:
        run([sys.executable, str(BENCH_FOLDER / "make_checkpoint.py"), str(path), *options])

    # The checkpoint, F16 twice, 8 bits twice, 4 bits five times.
    check_space(folder, subject.weights * (2 + 4 + 2 * 1.1 + 5 * 0.65))
    make(subject.checkpoint, "make_checkpoint.py, seed 1", build)
    return subject


def real_subject(root: Path, path: Path) -> Subject:
    """A trained checkpoint: a Hugging Face folder, or a llama2.c .bin file."""
    path = path.resolve()
    source = path / "model.safetensors" if path.is_dir() else path
    try:
        status = source.stat()
    except OSError as error:
        raise SystemExit(f"--model: {error}") from error
    identity = f"{source} {status.st_size} {status.st_mtime_ns}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    if path.is_dir():
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        context = int(config["max_position_embeddings"])
    else:
        with open(path, "rb") as file:
            context = int.from_bytes(file.read(28)[24:], "little")
    folder = root / "models" / f"{path.stem}-{digest}"
    check_space(folder, status.st_size * 8)
    return Subject(path.name, path, folder, status.st_size // 2, context)


def check_space(folder: Path, needed: float) -> None:
    """Ends the program where what is yet to be written would not fit, with 1 GB to spare."""
    folder.mkdir(parents=True, exist_ok=True)
    present = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    missing = max(0.0, needed - present)
    free = shutil.disk_usage(folder).free
    say(f"files in {folder}: {present / 1e9:.1f} GB there, up to {missing / 1e9:.1f} GB to write,"
        f" {free / 1e9:.1f} GB free")
    if missing and missing + 1e9 > free:
        raise SystemExit(
            f"{folder}: expected {(missing + 1e9) / 1e9:.1f} GB of free space, found"
            f" {free / 1e9:.1f} GB; set EMBER_PEERS_CACHE to a folder with more, or choose a"
            " smaller --shape or --only")


def make(path: Path, origin: str, build: Callable[[Path], None]) -> bool:
    """Lets `build` write a file or folder unless it is there and of the same origin."""
    note = path.with_name(path.name + ".origin")
    if path.exists() and note.exists() and note.read_text(encoding="utf-8") == origin:
        return False
    say(f"making {path.name}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    try:
        build(temporary)
        _remove(path)
        temporary.rename(path)
    finally:
        _remove(temporary)
    note.write_text(origin, encoding="utf-8")
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def ember_origin(program: Path) -> str:
    """Files of another build may differ, so they carry the program's checksum."""
    with open(program, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ember_file(subject: Subject, setting: EmberSetting, program: Path,
               origin: str | None) -> Path:
    """Without an origin, whatever file is there will do."""
    path = subject.folder / "ember" / setting.file_name
    if origin is None and path.exists():
        return path

    def build(temporary: Path) -> None:
        ember(program, "quantize", str(subject.checkpoint), "--output", str(temporary),
              *setting.options)

    make(path, f"{origin} {' '.join(setting.options)}", build)
    return path


def llama_file(subject: Subject, setting: LlamaSetting, version: str, threads: int) -> Path:
    folder = subject.folder / f"llama.cpp-{version}"
    full = folder / "F16.gguf"

    def write(temporary: Path) -> None:
        python_module("peerslib.write_gguf", str(subject.checkpoint), str(temporary))

    def quantize(temporary: Path) -> None:
        llama({"do": "quantize", "input": str(full), "output": str(temporary),
               "type": setting.type, "threads": threads})

    make(full, "write_gguf.py", write)
    if setting.type == "F16":
        return full
    path = folder / setting.file_name
    make(path, setting.type, quantize)
    return path


def llama2c_folder(subject: Subject) -> Path:
    """fp32 and int8 files of llama2.c with a tokenizer."""
    path = subject.folder / "llama2.c"

    def build(temporary: Path) -> None:
        temporary.mkdir()
        python_module("peerslib.write_llama2c", str(subject.checkpoint), str(temporary))

    make(path, "write_llama2c.py", build)
    return path


def weight_bytes_per_token(path: Path) -> int:
    """Bytes of a GGUF file's tensors that decoding a token reads: not the table, but one row."""
    return int(python_module("peerslib.gguf_bytes", str(path)))
