"""Writes a Hugging Face folder as an F16 GGUF file with its vocabulary.

    python -m qualitylib.write_gguf FOLDER OUTPUT.gguf

Matrices in f16; norms, biases and positions in f32, as llama.cpp's own converter has them.
"""
from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np

from qualitylib import hugging_face, vocabulary


def write(folder: Path, output: Path) -> None:
    model = hugging_face.read(folder)
    words = vocabulary.read(folder, model.vocabulary)
    writer = gguf.GGUFWriter(output, model.architecture)
    writer.add_type("model")
    writer.add_name(folder.name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, number in model.integers.items():
        writer.add_uint32(f"{model.architecture}.{key}", number)
    for key, value in model.floats.items():
        writer.add_float32(f"{model.architecture}.{key}", value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    writer.add_token_merges(words.merges)
    for name, index in model.tokens.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", index)
    for name, values in model.tensors:
        single = values.ndim == 1 or name.startswith("position_embd")
        kind = np.float32 if single else np.float16
        writer.add_tensor(name, np.ascontiguousarray(values, dtype=kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]), Path(sys.argv[2]))
    except KeyError as error:
        sys.exit(f"{sys.argv[1]}: expected the tensor {error}, found none")
