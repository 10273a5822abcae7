"""llama.cpp in a process of its own, through the low-level bindings of llama-cpp-python.

    llama_worker.py '{"do": "quantize" | "logits" | "measure" | "about", ...}'

The request is one JSON object, so is the reply on standard output. Only the module of the C
interface is imported, neither numpy nor the rest of the package, so that the process is little
more than libllama.
"""
from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import json
import os
import random
import resource
import sys
import time
import types
from pathlib import Path
from typing import Any

BATCH_TOKENS = 512
FLOAT16_FILE = 1  # LLAMA_FTYPE_MOSTLY_F16
ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR


@functools.cache
def bindings() -> Any:
    """The module llama_cpp.llama_cpp, imported without running the package's __init__."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("llama_cpp: expected llama-cpp-python to be installed, found none")
    package = types.ModuleType("llama_cpp")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["llama_cpp"] = package
    return importlib.import_module("llama_cpp.llama_cpp")


def memory(key: str) -> int:
    """Bytes of a line of /proc/self/status: VmRSS or VmHWM, mapped file pages included."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Llama:
    """A model and a context, loaded as llama.cpp's own programs do by default."""

    def __init__(self, request: dict[str, Any], threads: int) -> None:
        self.before = memory("VmRSS")
        self.api = api = bindings()
        # Kept here: the library keeps a pointer to it.
        self.log = api.llama_log_callback(self._print_errors)
        api.llama_log_set(self.log, None)
        api.llama_backend_init()
        start = time.perf_counter()
        parameters = api.llama_model_default_params()
        parameters.use_extra_bufts = request["repack"]
        parameters.n_gpu_layers = 0
        self.model = api.llama_model_load_from_file(
            os.fsencode(request["file"]), parameters)
        if not self.model:
            raise SystemExit(f"{request['file']}: llama.cpp cannot load it")
        options = api.llama_context_default_params()
        options.n_ctx = request["context"]
        options.n_batch = options.n_ubatch = BATCH_TOKENS
        options.n_threads = options.n_threads_batch = threads
        self.context = api.llama_init_from_model(self.model, options)
        if not self.context:
            raise SystemExit(f"{request['file']}: llama.cpp cannot make a context")
        self.vocabulary: int = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.load_seconds = time.perf_counter() - start
        self.clear()
        self.random = random.Random(1)
        self.decode(self.tokens(1))
        self.first_token_seconds = time.perf_counter() - start

    @staticmethod
    def _print_errors(level: int, text: bytes, _: Any) -> None:
        if level == ERROR_LEVEL:
            sys.stderr.write(text.decode(errors="replace"))

    def tokens(self, count: int) -> Any:
        """Random tokens, as llama-bench takes them."""
        array = ctypes.c_int32 * count
        return array(*(self.random.randrange(self.vocabulary) for _ in range(count)))

    def clear(self) -> None:
        """Empties the key/value cache."""
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), False)

    def set_threads(self, count: int) -> None:
        self.api.llama_set_n_threads(self.context, count, count)

    def decode(self, tokens: Any) -> None:
        """Computes the tokens after those in the cache, and the logits of the last."""
        api, place = self.api, 0
        while place < len(tokens):
            count = min(BATCH_TOKENS, len(tokens) - place)
            part = (ctypes.c_int32 * count).from_buffer(tokens, 4 * place)
            if api.llama_decode(self.context, api.llama_batch_get_one(part, count)):
                raise SystemExit("llama_decode failed")
            place += count
        api.llama_synchronize(self.context)

    def prompt_speed(self, count: int) -> float:
        """Tokens/s of a prompt into an empty cache."""
        tokens = self.tokens(count)
        self.clear()
        start = time.perf_counter()
        self.decode(tokens)
        return count / (time.perf_counter() - start)

    def decode_speed(self, count: int, depth: int, limit: float) -> float:
        """Tokens/s of one token after another behind `depth`, for `limit` seconds at most."""
        api, context = self.api, self.context
        tokens = self.tokens(count)
        self.clear()
        self.decode(self.tokens(depth))
        one = (ctypes.c_int32 * 1)()
        batch = api.llama_batch_get_one(one, 1)
        done = 0
        start = end = time.perf_counter()
        for token in tokens:
            one[0] = token
            if api.llama_decode(context, batch):
                raise SystemExit("llama_decode failed")
            api.llama_synchronize(context)
            done += 1
            end = time.perf_counter()
            if end - start > limit:
                break
        return done / (end - start)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Loads a file, then does each test once per number of threads after a warm-up."""
    threads: list[int] = request["threads"]
    llama = Llama(request, threads[-1])
    prompts: list[int] = request["prompts"]
    generate: int = request["generate"]
    limit: float = request.get("limit", 60.0)
    if prompts:
        llama.prompt_speed(max(prompts))
    samples = []
    for count in threads:
        llama.set_threads(count)
        if generate:
            llama.decode_speed(4, request["depth"], limit)
            speed = llama.decode_speed(generate, request["depth"], limit)
            samples.append({"test": "decode", "threads": count, "tokens": generate,
                            "tokens_per_second": speed})
        for length in prompts:
            samples.append({"test": "prompt", "threads": count, "tokens": length,
                            "tokens_per_second": llama.prompt_speed(length)})
    peak = memory("VmHWM")
    return {
        "results": samples,
        "load_seconds": llama.load_seconds,
        "first_token_seconds": llama.first_token_seconds,
        # Without what the interpreter had before: a C program has next to nothing then.
        "peak_memory_bytes": peak - llama.before,
    }


def logits(request: dict[str, Any]) -> dict[str, Any]:
    """The logits behind the last token, the tokens given one by one and all at once."""
    llama = Llama(request, 1)
    tokens = (ctypes.c_int32 * len(request["tokens"]))(*request["tokens"])

    def last() -> list[float]:
        values = llama.api.llama_get_logits_ith(llama.context, -1)
        return list(values[:llama.vocabulary])

    llama.clear()
    for token in tokens:
        llama.decode((ctypes.c_int32 * 1)(token))
    one_by_one = last()
    llama.clear()
    llama.decode(tokens)
    return {"one_by_one": one_by_one, "at_once": last()}


def quantize(request: dict[str, Any]) -> dict[str, Any]:
    """Writes a quantized GGUF file, as llama-quantize does without an importance matrix."""
    api = bindings()
    log = api.llama_log_callback(Llama._print_errors)
    api.llama_log_set(log, None)
    api.llama_backend_init()
    parameters = api.llama_model_quantize_default_params()
    parameters.ftype = getattr(api, "LLAMA_FTYPE_MOSTLY_" + request["type"])
    parameters.nthread = request["threads"]
    status = api.llama_model_quantize(
        os.fsencode(request["input"]), os.fsencode(request["output"]), ctypes.byref(parameters))
    if status:
        raise SystemExit(f"{request['input']}: llama_model_quantize failed with {status}")
    return {"file_bytes": Path(request["output"]).stat().st_size}


def about(_: dict[str, Any]) -> dict[str, Any]:
    """What the library says that it was built for."""
    api = bindings()
    return {"system": api.llama_print_system_info().decode().strip()}


def main() -> None:
    request = json.loads(sys.argv[1])
    actions = {"measure": measure, "logits": logits, "quantize": quantize, "about": about}
    reply = actions[request["do"]](request)
    print(json.dumps(reply))


if __name__ == "__main__":
    main()
