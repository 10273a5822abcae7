#!/usr/bin/env python3
"""Compare what Ember's precisions and llama.cpp's lose on a model and a text.

Run tools/bench/quality, which sets up what this needs. FOLDER is a Hugging Face folder of the Llama
or GPT-2 architecture. llama.cpp's own quantizer makes its types, without and with an importance
matrix from the calibration text, and Ember makes its recipes. All are run over the same token ids:
windows of 512, each from position 0, no beginning-of-sequence token, the second half scored. The
table has size, bits per weight, perplexity with its paired change from the same program's F16 file,
KL divergence from it, agreement on the top token, and the time that quantizing took.

Files and llama.cpp's scores are kept in the cache; Ember's files are made again when the program
changes. Quantizing is timed when a file is made.
"""
from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from peerslib import machine
from qualitylib import files, settings
from qualitylib.settings import CONTEXT


class Parser(argparse.ArgumentParser):
    """Its errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"quality: {message}", file=sys.stderr)
        sys.exit(2)


def parse() -> argparse.Namespace:
    parser = Parser(
        prog="tools/bench/quality", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER",
                        help="a Hugging Face folder")
    parser.add_argument("--ember", type=Path, required=True, metavar="FILE",
                        help="the program; by default the wrapper builds it")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER",
                        help="where files are kept; by default what the wrapper uses")
    parser.add_argument("--torch-python", type=Path, metavar="FILE",
                        help="a Python with torch, transformers, accelerate and bitsandbytes, for"
                        " NF4 and LLM.int8(); the wrapper's --bitsandbytes sets one up")
    parser.add_argument("--text", type=Path, metavar="FILE", help="text to score, UTF-8")
    parser.add_argument("--calibration", type=Path, metavar="FILE",
                        help="text to calibrate on, never the one that is scored")
    parser.add_argument("--windows", type=int, default=64,
                        help=f"windows of {CONTEXT} tokens to score, if the text has so many;"
                        " default: 64")
    parser.add_argument("--types", default=",".join(settings.LLAMA_TYPES),
                        metavar="Q4_0,Q8_0", help="llama.cpp's types; default: all of "
                        + ",".join(settings.LLAMA_TYPES))
    parser.add_argument("--recipe", action="append", metavar="NAME=OPTIONS", dest="recipes",
                        help="options of `ember quantize`, in place of the usual list; may come"
                        " again; {calibration} stands for the calibration text; what the program"
                        " does not know is left out. The usual list: "
                        + "; ".join(settings.EMBER_RECIPES))
    parser.add_argument("--threads", type=int, default=machine.physical_cores(),
                        help="default: the physical cores")
    parser.add_argument("--matrices", type=Path, metavar="FILE",
                        help="a safetensors file of GPT-2's attention matrices: their rounding"
                        " errors, at equal bits")
    parser.add_argument("--prefix", default="", metavar="COMMAND",
                        help="put before each process whose time is taken")
    parser.add_argument("--make-only", action="store_true",
                        help="make the files, which takes the times, and end")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw loss over size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables")
    args = parser.parse_args()
    if not args.folder and not args.matrices:
        parser.error("expected a FOLDER or --matrices, found neither")
    if args.folder and not args.text:
        parser.error("--text: expected the text to score, found none")
    for name in ("windows", "threads"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}: expected 1 or more, found {getattr(args, name)}")
    args.types = [name for name in args.types.split(",") if name]
    unknown = [name for name in args.types if name not in settings.LLAMA_TYPES]
    if unknown:
        parser.error(f"--types: expected some of {','.join(settings.LLAMA_TYPES)}, found"
                     f" {','.join(unknown)}")
    try:
        args.recipes = list(map(
            settings.parse_recipe, args.recipes or settings.EMBER_RECIPES))
    except ValueError as error:
        parser.error(f"--recipe: {error}")
    if args.text and args.calibration and files.digest(args.text) == files.digest(args.calibration):
        parser.error("--calibration: expected another text than the one that is scored")
    for name in ("folder", "ember", "cache", "text", "calibration", "matrices"):
        path = getattr(args, name)
        if path:
            setattr(args, name, path.resolve())
            if name != "cache" and not path.exists():
                parser.error(f"{path}: expected a file or folder, found none")
    for name in ("plot", "json", "output"):
        path = getattr(args, name)
        if path and not path.resolve().parent.is_dir():
            parser.error(f"--{name}: expected a folder to write to, found none at {path.parent}")
    return args


def main() -> None:
    args = parse()
    # They need numpy, which printing the help should not.
    from qualitylib import matrices, measure, plot
    from qualitylib.comparison import Comparison

    parts: list[str] = []
    data: dict[str, Any] = {}
    if args.folder:
        comparison = Comparison(args)
        comparison.make()
        if not args.make_only:
            rows = comparison.score()
            report = comparison.report(rows)
            parts.append(report.markdown())
            data["comparison"] = {
                **{key: value for key, value in vars(report).items() if key != "rows"},
                "rows": list(map(asdict, rows))}
            if args.plot:
                measure.write(args.plot, plot.svg(rows, report.subject))
    if args.matrices and not args.make_only:
        found = matrices.compare(args.matrices, args.ember, args.recipes)
        parts.append(matrices.markdown(found))
        data["matrices"] = found
    text = "\n".join(parts)
    print(text, end="")
    if args.output:
        measure.write(args.output, text)
    if args.json:
        measure.write(args.json, json.dumps(data, indent=1) + "\n")


def stop(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # As Ctrl-C does: what is half written is removed on the way out.
    signal.signal(signal.SIGTERM, stop)
    try:
        main()
    except (OSError, ImportError, KeyboardInterrupt) as error:
        sys.exit(f"quality: {error or 'stopped'}")
