#!/usr/bin/env python3
"""How fast tokenizers encode a text, each on one thread.

    tokenizer_speed.py .build/release/ember text.txt tokenizer.json vocabulary.gguf folder/tokenizer.model ...

The text is repeated until it has 8 MB and encoded by `ember tokenize --count`; what opening the
tokenizer takes, and the encoding of one letter, is subtracted. Processor time, the best of three
rounds. Prints a table in Markdown.
"""
import argparse
import pathlib
import resource
import subprocess
import tempfile

BYTES = 8_000_000


def seconds(ember, tokenizer, text):
    """The processor time of a run, and the number of tokens."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [ember, "tokenize", tokenizer, "--file", text, "--count"]
    tokens = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, tokens


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ember")
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("tokenizers", nargs="+")
    options = parser.parse_args()
    text = options.text.read_bytes()
    print("| tokenizer | MB/s | bytes/token |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        long, short = pathlib.Path(folder, "long.txt"), pathlib.Path(folder, "short.txt")
        long.write_bytes(text * (BYTES // len(text) + 1))
        short.write_bytes(b"a")
        for tokenizer in options.tokenizers:
            runs = [seconds(options.ember, tokenizer, str(long)) for _ in range(3)]
            opening = min(seconds(options.ember, tokenizer, str(short))[0] for _ in range(3))
            size = long.stat().st_size
            speed = size / (min(run[0] for run in runs) - opening) / 1e6
            path = pathlib.Path(tokenizer)
            name = path.stem if path.suffix == ".gguf" else f"{path.parent.name}/{path.name}"
            print(f"| {name} | {speed:.1f} | {size / runs[0][1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
