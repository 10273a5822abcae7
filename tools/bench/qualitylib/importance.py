"""llama.cpp's importance matrix: the mean square of each input of each matrix of the layers.

It is what llama-imatrix computes: from the inputs of the multiplications that llama.cpp does, seen
through its scheduler's callback, over windows of the text; the table and the head have none.
"""
from __future__ import annotations

import ctypes

import numpy as np

from qualitylib.llama_model import Library, LlamaModel
from qualitylib.scoring import Array


class Tensor(ctypes.Structure):
    """ggml_tensor, of ggml.h; ggml_get_name() serves to notice another layout."""

    _fields_ = [
        ("type", ctypes.c_int), ("buffer", ctypes.c_void_p), ("sizes", ctypes.c_int64 * 4),
        ("strides", ctypes.c_size_t * 4), ("operation", ctypes.c_int),
        ("parameters", ctypes.c_int32 * 16), ("flags", ctypes.c_int32),
        ("sources", ctypes.c_void_p * 10), ("view", ctypes.c_void_p), ("offset", ctypes.c_size_t),
        ("data", ctypes.c_void_p), ("name", ctypes.c_char * 64)]


class Collector:
    """Sums of squares by the names of the matrices."""

    def __init__(self, library: Library) -> None:
        self.sums: dict[str, Array] = {}
        self.counts: dict[str, int] = {}
        self.operation = library.ggml.ggml_op_desc
        self.operation.restype = ctypes.c_char_p
        self.operation.argtypes = [ctypes.c_void_p]
        self.name = library.ggml.ggml_get_name
        self.name.restype = ctypes.c_char_p
        self.name.argtypes = [ctypes.c_void_p]

    def see(self, address: int, ask: bool) -> bool:
        """The callback: whether a node is wanted, then, with its inputs in place, the node."""
        if self.operation(address) != b"MUL_MAT":
            return not ask
        node = Tensor.from_address(address)
        weight = Tensor.from_address(node.sources[0])
        if weight.name != self.name(node.sources[0]):
            raise SystemExit(
                "ggml_tensor: expected another layout; set EMBER_PEERS_LLAMA to 0.3.36")
        name = weight.name.decode()
        if not (name.startswith("blk.") and name.endswith(".weight")):
            return not ask
        if not ask:
            self.add(name, Tensor.from_address(node.sources[1]))
        return True

    def add(self, name: str, inputs: Tensor) -> None:
        columns, rows = inputs.sizes[0], inputs.sizes[1]
        if inputs.type != 0 or inputs.strides[0] != 4 or inputs.sizes[2] * inputs.sizes[3] != 1:
            raise SystemExit(f"{name}: expected inputs of f32 in rows, found others")
        values = np.ctypeslib.as_array(
            (ctypes.c_float * (inputs.strides[1] // 4 * rows)).from_address(inputs.data))
        values = values.reshape(rows, -1)[:, :columns].astype(np.float64)
        self.sums[name] = self.sums.get(name, 0.0) + np.square(values).sum(axis=0)
        self.counts[name] = self.counts.get(name, 0) + rows


def collect(library: Library, file: str, ids: Array, context: int, threads: int
            ) -> dict[str, Array]:
    """Mean squares over as many whole windows as there are ids for, at least one."""
    collector = Collector(library)
    model = LlamaModel(library, file, context, threads, collector.see)
    windows = max(1, len(ids) // context)
    for index in range(windows):
        window = ids[index * context : (index + 1) * context]
        # All logits: the last layer leaves out the rows of those that are not wanted.
        model.logits(window, len(window))
    means = {
        name: (sums / collector.counts[name]).astype(np.float32)
        for name, sums in collector.sums.items()}
    if not means or not all(np.isfinite(values).all() for values in means.values()):
        raise SystemExit(f"{file}: expected finite inputs of its matrices, found none or others")
    return means
