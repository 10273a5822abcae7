"""Makes and scores every file of one checkpoint."""
from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib.metadata
import io
import shlex
from pathlib import Path

import numpy as np

from peerslib import cache, machine
from peerslib.processes import run
from qualitylib import files, measure, settings
from qualitylib.report import Report
from qualitylib.scoring import Protocol
from qualitylib.settings import CONTEXT, Recipe


def save_ids(place: files.Place, name: str, ids: list[int]) -> Path:
    """Token ids as a file for the processes that score."""
    path = place.folder / f"{name}.npy"
    data = io.BytesIO()
    np.save(data, np.array(ids, np.int32))

    def store(temporary: Path) -> None:
        temporary.write_bytes(data.getvalue())

    cache.make(path, hashlib.sha256(data.getvalue()).hexdigest(), store)
    return path


class Comparison:
    """One checkpoint, one text; `args` are those of quality.py."""

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
