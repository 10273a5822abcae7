"""Writes a checkpoint as an F16 GGUF file, and reads what a GGUF file's tensors weigh.

    python -m peerslib.write_gguf CHECKPOINT OUTPUT.gguf
"""
from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np

from peerslib import weights


def describe(writer: gguf.GGUFWriter, shape: weights.Shape, file_type: gguf.LlamaFileType) -> None:
    """The metadata of a Llama model without a vocabulary: tokens are given by their ids."""
    writer.add_file_type(file_type)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_tokenizer_model("no_vocab")


def write(checkpoint: weights.Checkpoint, output: Path) -> None:
    """Matrices in f16, norms in f32."""
    writer = gguf.GGUFWriter(output, "llama")
    describe(writer, checkpoint.shape, gguf.LlamaFileType.MOSTLY_F16)
    for name, values in checkpoint.parts:
        kind = np.float32 if values.ndim == 1 else np.float16
        writer.add_tensor(name + ".weight", np.ascontiguousarray(values, dtype=kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    write(weights.read(Path(sys.argv[1])), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
