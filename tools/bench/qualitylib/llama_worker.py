"""llama.cpp in a process of its own: quantizing, importance, scoring.

    python -m qualitylib.llama_worker '{"do": "quantize" | "importance" | "score", ...}'

The request is one JSON object, so is the reply on standard output.
"""
from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import gguf
import numpy as np

from qualitylib import importance
from qualitylib.llama_model import Library, LlamaModel
from qualitylib.scoring import Array, Baseline, Protocol, Score

FLOATS = {gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16,
          gguf.GGMLQuantizationType.BF16}


def quantize(request: dict[str, Any]) -> dict[str, Any]:
    """Writes a quantized file, as llama-quantize does; the time is the fastest run's."""
    library = Library()
    api = library.api
    parameters = api.llama_model_quantize_default_params()
    parameters.ftype = getattr(api, "LLAMA_FTYPE_MOSTLY_" + request["type"])
    parameters.nthread = request["threads"]
    entries = {}
    if request["importance"]:
        with np.load(request["importance"]) as file:
            entries = {name: np.ascontiguousarray(file[name], np.float32) for name in file.files}
        # A name of nothing ends the list.
        table = (api.llama_model_imatrix_data * (len(entries) + 1))()
        for entry, (name, values) in zip(table, entries.items(), strict=False):
            entry.name = name.encode()
            entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            entry.size = len(values)
        parameters.imatrix = table
    seconds: list[float] = []
    while not seconds or (len(seconds) < 3 and sum(seconds) < 1):
        start = time.perf_counter()
        status = api.llama_model_quantize(
            os.fsencode(request["input"]), os.fsencode(request["output"]),
            ctypes.byref(parameters))
        seconds.append(time.perf_counter() - start)
        if status:
            raise SystemExit(f"{request['input']}: llama_model_quantize failed with {status}")
    return {"seconds": min(seconds)}


def collect(request: dict[str, Any]) -> dict[str, Any]:
    """Writes the importance matrix as numpy's .npz."""
    start = time.perf_counter()
    means = importance.collect(
        Library(), request["input"], np.load(request["ids"]), request["context"],
        1)
    with open(request["output"], "wb") as file:
        np.savez(file, **means)  # type: ignore[arg-type]
    return {"seconds": time.perf_counter() - start}


def score(request: dict[str, Any]) -> dict[str, Any]:
    """Feeds the same windows to all files side by side; the first is the baseline.

    Each model computes on one thread, and so many models do at once as there are threads: it needs
    no barriers, at which llama.cpp's threads spin while other programs use the cores.
    """
    library = Library()
    protocol = Protocol(request["context"], request["windows"])
    ids = np.load(request["ids"])
    models = [LlamaModel(library, file, protocol.context, 1) for file in request["files"]]
    scores = [Score() for _ in models]

    def add(model: LlamaModel, result: Score, fed: Array, baseline: Baseline) -> None:
        result.add(model.logits(fed, len(baseline.targets)), baseline)

    with ThreadPoolExecutor(request["threads"]) as pool:
        # The baseline of the next window is computed beside the others' last ones.
        def baseline_of(index: int) -> Future[Baseline] | None:
            if index == protocol.windows:
                return None
            fed, targets = protocol.window(ids, index)
            return pool.submit(lambda: Baseline.of(models[0].logits(fed, len(targets)), targets))

        coming = baseline_of(0)
        for index in range(protocol.windows):
            assert coming
            baseline = coming.result()
            scores[0].add(None, baseline)
            fed, _ = protocol.window(ids, index)
            coming = baseline_of(index + 1)
            work = [pool.submit(add, model, result, fed, baseline)
                    for model, result in zip(models[1:], scores[1:], strict=True)]
            for future in work:
                future.result()
    return {"scores": [{"file": file, **weigh(file), **result.summary()}
                       for file, result in zip(request["files"], scores, strict=True)]}


def weigh(path: str) -> dict[str, float]:
    """Bits per weight of the quantized tensors (of the matrices, if none is), and of the file."""
    tensors = gguf.GGUFReader(path).tensors
    matrices = [tensor for tensor in tensors if tensor.tensor_type not in FLOATS] or [
        tensor for tensor in tensors if tensor.tensor_type != gguf.GGMLQuantizationType.F32]
    size = os.stat(path).st_size
    return {
        "file_bytes": size,
        "bits_per_weight": 8 * sum(int(tensor.n_bytes) for tensor in matrices)
        / sum(int(tensor.n_elements) for tensor in matrices),
        "file_bits_per_weight": 8 * size / sum(int(tensor.n_elements) for tensor in tensors)}


def main() -> None:
    request = json.loads(sys.argv[1])
    actions = {"quantize": quantize, "importance": collect, "score": score}
    print(json.dumps(actions[request["do"]](request)))


if __name__ == "__main__":
    main()
