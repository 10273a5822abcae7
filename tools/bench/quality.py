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
import datetime
import hashlib
import importlib.metadata
import io
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from peerslib import cache, machine
from peerslib.processes import run
from qualitylib import files, measure, plot, settings
from qualitylib.report import Report
from qualitylib.scoring import Protocol
from qualitylib.settings import Recipe

CONTEXT = 512


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
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
                parser.error(f"{name}: expected a file or folder, found none at {path}")
    for name in ("plot", "json", "output"):
        path = getattr(args, name)
        if path and not path.resolve().parent.is_dir():
            parser.error(f"--{name}: expected a folder to write to, found none at {path.parent}")
    return args


def save_ids(place: files.Place, name: str, ids: list[int]) -> Path:
    """Token ids as a file for the processes that score."""
    path = place.folder / f"{name}.npy"
    data = io.BytesIO()
    np.save(data, np.array(ids, np.int32))
    cache.make(path, hashlib.sha256(data.getvalue()).hexdigest(),
               lambda temporary: temporary.write_bytes(data.getvalue()))
    return path


class Comparison:
    """Makes and scores everything of one checkpoint."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.llama_version = importlib.metadata.version("llama_cpp_python")
        self.place = files.Place.of(
            args.cache, args.folder, self.llama_version, args.threads, shlex.split(args.prefix))
        self.origin = cache.ember_origin(args.ember)
        self.skipped: dict[str, str] = {}
        self.importance_seconds: float | None = None

    def make(self) -> None:
        """All files."""
        args, place = self.args, self.place
        full = place.ember_file(args.ember, self.origin, Recipe("F16", ("--bits", "16")), None)
        if isinstance(full, str):
            raise SystemExit(f"{args.ember}: expected `quantize --bits 16` to be known: {full}")
        self.ember_full = full
        self.ember_files: dict[str, Path] = {}
        for recipe in args.recipes:
            made = place.ember_file(args.ember, self.origin, recipe, args.calibration)
            if isinstance(made, Path):
                self.ember_files[recipe.name] = made
            else:
                self.skipped[f"Ember {recipe.name}"] = made
                cache.say(f"leaving out Ember {recipe.name}: {made}")
        self.llama_full = place.llama_full()
        importance = None
        if args.calibration:
            ids = save_ids(place, "calibration", files.token_ids(
                args.ember, full, args.calibration))
            importance = place.importance(files.digest(args.calibration), ids)
            self.importance_seconds = place.seconds(importance)
        self.llama_files = {
            setting: place.llama_file(setting, importance)
            for setting in settings.llama_settings(args.types, importance is not None)}

    def score(self) -> list[measure.Row]:
        args, place = self.args, self.place
        ids = files.token_ids(args.ember, self.ember_full, args.text)
        protocol = Protocol(CONTEXT, min(args.windows, len(ids) // CONTEXT))
        if protocol.windows < 1:
            raise SystemExit(f"{args.text}: expected {CONTEXT} tokens or more, found {len(ids)}")
        scores, self.text = measure.ember_scores(
            args.ember, list(self.ember_files.values()), self.ember_full, args.text, protocol)
        ids = files.token_ids(args.ember, self.ember_full, args.text, self.text["tokens_in_text"])
        stored = save_ids(place, "text", ids)
        rows = [measure.Row(settings.EMBER, "F16", scores[self.ember_full], baseline=True)]
        rows += [measure.Row(settings.EMBER, name, scores[path], place.seconds(path))
                 for name, path in self.ember_files.items()]
        theirs = measure.llama_scores(
            place, list(self.llama_files.values()), self.llama_full, stored, protocol)
        if theirs:
            rows.append(measure.Row(
                settings.LLAMA, "F16", theirs[self.llama_full], baseline=True))
            measure.check_same_model(scores[self.ember_full], theirs[self.llama_full])
        rows += [
            measure.Row(settings.LLAMA_IMPORTANCE if setting.importance else settings.LLAMA,
                        setting.type, theirs[path], place.seconds(path))
            for setting, path in self.llama_files.items()]
        self.scorers_differ = None
        if self.ember_files:
            self.scorers_differ = measure.check_same_score(
                args.ember, self.ember_full, next(iter(self.ember_files.values())), args.text, ids)
        return rows + self.bitsandbytes(stored, protocol)

    def bitsandbytes(self, ids: Path, protocol: Protocol) -> list[measure.Row]:
        family = settings.BITSANDBYTES
        if not self.args.torch_python:
            self.skipped[family] = "it needs --bitsandbytes, which sets it up, or --torch-python"
            return []
        try:
            reply = measure.bitsandbytes_scores(
                self.args.torch_python, self.args.folder, ids, protocol)
        except SystemExit as error:
            self.skipped[family] = str(error).rsplit(" / ", 1)[-1]
            cache.say(f"leaving out {family}: {self.skipped[family]}")
            return []
        self.skipped |= {f"{family} {name}": why for name, why in reply["skipped"].items()}
        rows = [measure.Row(family, "none: transformers, fp32", reply["full"], baseline=True)]
        rows += [measure.Row(family, name, score, score["seconds"])
                 for name, score in reply["models"].items()]
        return rows

    def report(self, rows: list[measure.Row]) -> Report:
        args = self.args
        calibration = "none"
        if args.calibration:
            calibration = (f"{args.calibration.name} (SHA-256"
                           f" {files.digest(args.calibration)[:16]}…)")
        return Report(
            subject=args.folder.name, date=datetime.date.today().isoformat(),
            machine=machine.describe(),
            versions={
                "Ember": run([str(args.ember), "--version"]).strip().removeprefix("ember "),
                "llama.cpp": f"of llama-cpp-python {self.llama_version}"},
            text=self.text, calibration=calibration, rows=rows, skipped=self.skipped,
            importance_seconds=self.importance_seconds, scorers_differ=self.scorers_differ)


def main() -> None:
    args = parse()
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
        from qualitylib import matrices  # needs the reader of Ember's files

        found = matrices.compare(args.matrices, args.ember, args.recipes)
        parts.append(matrices.markdown(found))
        data["matrices"] = found
    text = "\n".join(parts)
    print(text, end="")
    if args.output:
        measure.write(args.output, text)
    if args.json:
        measure.write(args.json, json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (OSError, KeyboardInterrupt) as error:
        sys.exit(f"quality: {error or 'stopped'}")
