#!/usr/bin/env python3
"""What llama.cpp makes of a GGUF file: logits after each of some tokens, and the ids of some texts.

    llama_logits.py MODEL.gguf <<< '{"ids": [1, 2], "texts": ["Hello"], "options": {}}'

Options are further arguments of llama_cpp.Llama. Prints {"logits": [[...]], "tokens": [[...]]}. Needs: pip install llama-cpp-python. The tests run it
where EMBER_PYTHON has that package.
"""
import json
import sys

from llama_cpp import Llama

F32 = 0  # GGML_TYPE_F32: keys and values are not rounded.


def main():
    request = json.load(sys.stdin)
    model = Llama(
        sys.argv[1], n_ctx=256, n_threads=1, logits_all=True,
        verbose=False, type_k=F32, type_v=F32,
        **request["options"],
    )
    model.eval(request["ids"])
    logits = [[float(x) for x in row] for row in model.scores[: len(request["ids"])]]
    tokens = [
        model.tokenize(text.encode(), add_bos=False, special=True) for text in request["texts"]
    ]
    json.dump({"logits": logits, "tokens": tokens}, sys.stdout)


if __name__ == "__main__":
    main()
