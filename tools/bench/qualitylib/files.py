"""The files that are compared, made once and kept, each with the time that making it took."""
from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peerslib import cache
from peerslib.processes import (
    ember,
    ember_command,
    json_of,
    python_module,
    request_command,
)
from qualitylib.settings import LlamaSetting, Recipe

UNKNOWN_OPTION = 64  # ember's exit status


def digest(*paths: Path) -> str:
    """SHA-256 of files' contents, one after another."""
    result = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                result.update(part)
    return result.hexdigest()


@dataclass(frozen=True)
class Place:
    """A checkpoint, and where what is made of it lies."""

    checkpoint: Path
    folder: Path
    version: str
    threads: int
    prefix: list[str]

    @classmethod
    def of(cls, root: Path, checkpoint: Path, version: str, threads: int, prefix: list[str]
           ) -> Place:
        weights = sorted(checkpoint.glob("*.safetensors"))
        if not weights or not (checkpoint / "config.json").is_file():
            raise SystemExit(
                f"{checkpoint}: expected a folder with config.json and *.safetensors, found none")
        sources = [*weights, checkpoint / "config.json", checkpoint / "tokenizer.json"]
        status = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"
                  for path in sources if path.exists()]
        key = hashlib.sha256("\n".join(status).encode()).hexdigest()[:8]
        folder = root / "quality" / f"{checkpoint.name}-{key}"
        # F16 twice, and some twenty files of about half of it.
        cache.check_space(folder, 10 * sum(path.stat().st_size for path in weights))
        return cls(checkpoint, folder, version, threads, prefix)

    @property
    def llama_folder(self) -> Path:
        return self.folder / f"llama.cpp-{self.version}"

    def llama(self, request: dict[str, Any], *, timed: bool = False) -> dict[str, Any]:
        """A request to llama_worker.py."""
        prefix = self.prefix if timed else []
        return json_of([*prefix, *request_command(
            "qualitylib.llama_worker", {**request, "threads": self.threads})])

    def llama_full(self) -> Path:
        path = self.llama_folder / "F16.gguf"

        def write(temporary: Path) -> None:
            python_module("qualitylib.write_gguf", str(self.checkpoint), str(temporary))

        cache.make(path, "write_gguf.py 1", write)
        return path

    def importance(self, text: str, ids: Path) -> Path:
        """The importance matrix of a text with the given digest and token ids."""
        path = self.llama_folder / "importance.npz"
        full = self.llama_full()

        def write(temporary: Path) -> None:
            self._note(path, self.llama({
                "do": "importance", "input": str(full), "ids": str(ids), "context": 512,
                "output": str(temporary)}))

        self._make(path, f"importance 2 {text}", write)
        return path

    def llama_file(self, setting: LlamaSetting, importance: Path | None) -> Path:
        path = self.llama_folder / setting.file_name
        full, origin = self.llama_full(), setting.type
        if setting.importance:
            assert importance is not None
            note = importance.with_name(importance.name + ".origin")
            origin += " " + note.read_text(encoding="utf-8")

        def quantize(temporary: Path) -> None:
            self._note(path, self.llama({
                "do": "quantize", "input": str(full), "output": str(temporary),
                "type": setting.type, "importance": str(importance or "")
                if setting.importance else ""}, timed=True))

        self._make(path, origin, quantize)
        return path

    def ember_file(self, program: Path, origin: str, recipe: Recipe, calibration: Path | None
                   ) -> Path | str:
        """The file, or why this program cannot make it."""
        path = self.folder / "ember" / recipe.file_name
        if recipe.needs_calibration:
            if calibration is None:
                return "it needs --calibration"
            origin += " " + digest(calibration)
        options = recipe.arguments(str(calibration))
        refusal = ember_refusal(program, options)
        if refusal:
            return refusal

        def quantize(temporary: Path) -> None:
            seconds: list[float] = []
            while not seconds or (len(seconds) < 3 and sum(seconds) < 1):
                reply = json_of([*self.prefix, *ember_command(
                    program, "quantize", str(self.checkpoint), "--output", str(temporary),
                    *options, "--threads", str(self.threads))])
                seconds.append(reply["seconds"])
            self._note(path, {"seconds": min(seconds)})

        self._make(path, f"{origin} {shlex.join(recipe.options)}", quantize)
        return path

    @staticmethod
    def _notes(path: Path) -> Path:
        return path.with_name(path.name + ".json")

    def _note(self, path: Path, reply: dict[str, Any]) -> None:
        self._notes(path).write_text(json.dumps(reply), encoding="utf-8")

    def _make(self, path: Path, origin: str, build: Any) -> None:
        if not self._notes(path).exists():
            path.with_name(path.name + ".origin").unlink(missing_ok=True)
        cache.make(path, origin, build)

    def seconds(self, path: Path) -> float:
        """How long making the file took."""
        return float(json.loads(self._notes(path).read_text(encoding="utf-8"))["seconds"])


def ember_refusal(program: Path, options: list[str]) -> str:
    """Why `ember quantize` does not know these options, or nothing.

    An input that is not there is only looked for when the command line is right.
    """
    result = subprocess.run(
        [str(program), "quantize", "nothing-is-here", *options], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False)
    if result.returncode != UNKNOWN_OPTION:
        return ""
    said = (result.stderr.strip().splitlines() or ["unknown options"])[0]
    return said.removeprefix("ember: error: ").removesuffix(" (see ember quantize --help)")


def token_ids(program: Path, model: Path, text: Path, expected: int | None = None) -> list[int]:
    """The ids of a whole text, without a token that begins a sequence."""
    reply = ember(program, "tokenize", str(model), "--file", str(text))
    ids: list[int] = reply["ids"]
    if expected is not None and len(ids) == expected + 1:
        ids = ids[1:]
    if expected is not None and len(ids) != expected:
        raise SystemExit(f"{text}: expected {expected} tokens, found {len(ids)}")
    return ids
