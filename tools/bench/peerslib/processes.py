"""Starts the programs that are compared, each in a fresh process."""
from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCH_FOLDER = Path(__file__).resolve().parent.parent


def run(command: list[str]) -> str:
    """Standard output of a command that must succeed."""
    result = subprocess.run(
        command, cwd=BENCH_FOLDER, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", check=False)
    _require_success(command, result.returncode, result.stderr)
    return result.stdout


def _require_success(command: list[str], status: int, errors: str) -> None:
    if status:
        said = " / ".join(line for line in errors.strip().splitlines()[-5:] if line.strip())
        raise SystemExit(f"{shlex.join(command)[:300]}: exit status {status}: {said}")


def json_of(command: list[str]) -> dict[str, Any]:
    """The JSON object that a command prints."""
    output = run(command)
    try:
        reply: dict[str, Any] = json.loads(output)
    except ValueError as error:
        raise SystemExit(
            f"{shlex.join(command)[:300]}: expected JSON, found {output[:40]!r}") from error
    return reply


def request_command(module: str, request: dict[str, Any]) -> list[str]:
    """A module of this folder that takes a request in JSON and answers in it."""
    return [sys.executable, "-m", module, json.dumps(request)]


def ember_command(program: Path, *arguments: str) -> list[str]:
    """An `ember` command that prints JSON."""
    return [str(program), *arguments, "--json"]


def llama_command(request: dict[str, Any]) -> list[str]:
    """llama_worker.py with a request; it prints JSON."""
    return request_command("peerslib.llama_worker", request)


def ember(program: Path, *arguments: str) -> dict[str, Any]:
    return json_of(ember_command(program, *arguments))


def llama(request: dict[str, Any]) -> dict[str, Any]:
    return json_of(llama_command(request))


def python_module(name: str, *arguments: str) -> str:
    """Runs a module that needs numpy, which this process does not load."""
    return run([sys.executable, "-m", name, *arguments])


@dataclass(frozen=True)
class Measured:
    """What a measured process took, and what it printed."""

    seconds: float
    output: str
    errors: str

    @property
    def reply(self) -> dict[str, Any]:
        """The JSON object that it printed."""
        reply: dict[str, Any] = json.loads(self.output)
        return reply


def measured(command: list[str], file: Path, busy: int, prefix: list[str]) -> Measured:
    """A command behind `prefix`, its file in memory, beside busy programs; see launch.py."""
    request = json.dumps({"busy": busy, "file": str(file), "command": command})
    reply = json.loads(run([*prefix, sys.executable, "-m", "peerslib.launch", request]))
    _require_success(command, reply["status"], reply["errors"])
    return Measured(reply["seconds"], reply["output"], reply["errors"])
