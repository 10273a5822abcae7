"""bitsandbytes' NF4 and LLM.int8() through transformers, on the CPU.

    python -m qualitylib.bitsandbytes_worker '{"folder": ..., "ids": ..., ...}'

The Python is one that has torch, transformers, accelerate and bitsandbytes. They quantize the
layers' matrices; table and head stay in fp16. Size is that of the weights as transformers saves
them. All is computed in fp32, LLM.int8()'s products but for its outliers in int8.
"""
from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1")

import numpy as np
import torch
import transformers

from qualitylib.scoring import Array, Baseline, Protocol, Score


def configurations() -> dict[str, Any]:
    config = transformers.BitsAndBytesConfig
    return {
        "NF4": config(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                      bnb_4bit_compute_dtype=torch.float32),
        "NF4, scales in 8 bits": config(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32),
        "LLM.int8()": config(load_in_8bit=True)}


def load(folder: str, config: Any) -> Any:
    options = {"dtype": torch.float32} if config is None else {
        "quantization_config": config, "device_map": "cpu", "dtype": torch.float16}
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
    # Quantized matrices stay as they are; table, head and norms are computed with in fp32.
    for module in model.modules():
        if not type(module).__name__.startswith("Linear"):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.float()
    return model.eval()


def weigh(model: Any, folder: str) -> dict[str, float]:
    """The saved file's size, and bits per weight of the quantized matrices with their scales."""
    from safetensors import safe_open
    prefixes = {
        f"{name}.": module.in_features * module.out_features
        for name, module in model.named_modules() if type(module).__module__.startswith("bitsand")}
    parameters = sum(
        module.weight.numel() if f"{name}." not in prefixes else prefixes[f"{name}."]
        for name, module in model.named_modules()
        if getattr(module, "weight", None) is not None)
    if model.config.tie_word_embeddings:
        parameters -= model.get_output_embeddings().weight.numel()
    quantized = 0
    with tempfile.TemporaryDirectory() as place:
        model_half = model
        model_half.save_pretrained(place)
        files = list(Path(place).glob("*.safetensors"))
        size = sum(file.stat().st_size for file in files)
        for file in files:
            with safe_open(file, "pt") as tensors:
                for key in tensors.keys():
                    values = tensors.get_tensor(key)
                    owner = next((p for p in prefixes if key.startswith(p)), None)
                    if owner and not key.endswith(".bias"):
                        quantized += values.nbytes
                    elif values.dtype == torch.float32 and values.ndim == 2:
                        size -= values.nbytes // 2  # widened above; kept in fp16
    return {"file_bytes": size, "file_bits_per_weight": 8 * size / parameters,
            "bits_per_weight": 8 * quantized / sum(prefixes.values())}


def main() -> None:
    request = json.loads(sys.argv[1])
    ids, protocol = np.load(request["ids"]), Protocol(request["context"], request["windows"])
    full = load(request["folder"], None)
    models, sizes, seconds = {}, {}, {}
    skipped: dict[str, str] = {}
    for name, config in configurations().items():
        start = time.perf_counter()
        try:
            models[name] = load(request["folder"], config)
            seconds[name] = time.perf_counter() - start
            sizes[name] = weigh(models[name], request["folder"])
        except Exception as error:  # noqa: BLE001  whatever these libraries raise: it is reported
            models.pop(name, None)
            skipped[name] = " ".join(str(error).split())[:200] or type(error).__name__
    scores = {name: Score() for name in models}
    whole = Score()

    def logits(model: Any, fed: Array, last: int) -> Array:
        with torch.inference_mode():
            values: Array = model(torch.from_numpy(fed[None].astype(np.int64))).logits
        return values[0, -last:].float().numpy()

    for index in range(protocol.windows):
        fed, targets = protocol.window(ids, index)
        baseline = Baseline.of(logits(full, fed, len(targets)), targets)
        whole.add(None, baseline)
        for name, model in models.items():
            scores[name].add(logits(model, fed, len(targets)), baseline)
    print(json.dumps({
        "full": whole.summary(), "skipped": skipped,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "models": {name: {**sizes[name], **score.summary(), "seconds": seconds[name]}
                   for name, score in scores.items()}}))


if __name__ == "__main__":
    main()
