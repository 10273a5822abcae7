"""llama.cpp's logits and activations, through the low-level bindings of llama-cpp-python."""
from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from peerslib.llama_worker import ERROR_LEVEL, bindings
from qualitylib.scoring import Array

Callback = Callable[[int, bool], bool]


class Library:
    """libllama and libggml, which print errors alone."""

    def __init__(self) -> None:
        self.api = bindings()
        self.ggml = importlib.import_module("llama_cpp._ggml").libggml
        # Kept here: the library keeps a pointer to it.
        self._log = self.api.llama_log_callback(self._print_errors)
        self.api.llama_log_set(self._log, None)
        self.api.llama_backend_init()

    @staticmethod
    def _print_errors(level: int, text: bytes, _: Any) -> None:
        if level == ERROR_LEVEL:
            sys.stderr.write(text.decode(errors="replace"))


class LlamaModel:
    """A GGUF file with a context for windows of up to `context` tokens."""

    def __init__(self, library: Library, file: str, context: int, threads: int,
                 callback: Callback | None = None) -> None:
        api = self.api = library.api
        parameters = api.llama_model_default_params()
        parameters.n_gpu_layers = 0
        # Rearranged weights would be computed in other kinds of nodes.
        parameters.use_extra_bufts = callback is None
        self.model = api.llama_model_load_from_file(os.fsencode(file), parameters)
        if not self.model:
            raise SystemExit(f"{file}: llama.cpp cannot load it")
        options = api.llama_context_default_params()
        options.n_ctx = options.n_batch = options.n_ubatch = context
        options.n_threads = options.n_threads_batch = threads
        if callback is not None:
            self._callback = api.ggml_backend_sched_eval_callback(
                lambda tensor, ask, _: callback(tensor, ask))
            options.cb_eval = self._callback
        self.context = api.llama_init_from_model(self.model, options)
        if not self.context:
            raise SystemExit(f"{file}: llama.cpp cannot make a context")
        self.file = file
        self.vocabulary: int = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))

    def logits(self, ids: Array, last: int) -> Array:
        """Feeds ids from position 0; the logits behind the `last` ids, [last, vocabulary]."""
        api, count = self.api, len(ids)
        api.llama_memory_clear(api.llama_get_memory(self.context), True)
        tokens = (ctypes.c_int32 * count)(*map(int, ids))
        wanted = (ctypes.c_int8 * count)(*(index >= count - last for index in range(count)))
        batch = api.llama_batch_get_one(tokens, count)
        batch.logits = ctypes.cast(wanted, ctypes.POINTER(ctypes.c_int8))
        if api.llama_decode(self.context, batch):
            raise SystemExit(f"{self.file}: llama_decode failed")
        api.llama_synchronize(self.context)
        values = np.ctypeslib.as_array(
            api.llama_get_logits(self.context), (last, self.vocabulary))
        return values.copy()
