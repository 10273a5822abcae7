"""The measured files: random weights of one shape for both programs, kept in the cache folder."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peerslib import cache
from peerslib.processes import python_module, run


@dataclass(frozen=True)
class Files:
    """One shape's files; `llama` is None where llama.cpp is left out."""

    shape: str
    ember: Path
    llama: Path | None


def make(root: Path, shape: str, program: Path, reuse: bool, with_llama: bool) -> Files:
    """Makes what is not there. With `reuse`, Ember's file of another build will do."""
    width, layers, heads, kv_heads, ffn, vocabulary = numbers = cache.parse_shape(shape)
    folder = root / "models" / f"memory-{shape}"
    weights = 2 * vocabulary * width + layers * (
        2 * width * width + 2 * width * (width // heads * kv_heads) + 3 * width * ffn)
    # Some 4.8 and 4.6 bits per weight.
    cache.check_space(folder, weights * (0.61 + (0.58 if with_llama else 0)))
    ember = folder / "q4.ember"
    named = shape if shape in cache.SHAPES else "x".join(
        map(str, (width, layers, ffn, heads, kv_heads, vocabulary)))

    def write_ember(path: Path) -> None:
        run([str(program), "bench", "--synthetic", named, "--bits", "4", "--keep", str(path),
             "--generate", "1", "--prompt-tokens", "0", "--repetitions", "1", "--json"])

    def write_llama(path: Path) -> None:
        python_module("memorylib.write_random_gguf", ",".join(map(str, numbers)), str(path))

    if not (reuse and ember.exists()):
        cache.make(ember, f"{cache.ember_origin(program)} --bits 4", write_ember)
    if not with_llama:
        return Files(shape, ember, None)
    llama = folder / "Q4_0.gguf"
    cache.make(llama, "write_random_gguf.py, seed 1", write_llama)
    return Files(shape, ember, llama)
