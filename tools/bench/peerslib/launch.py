"""Runs one measured program: brings its file into memory, starts busy programs beside it, times it.

    python -m peerslib.launch '{"busy": 0, "file": "model.q4", "command": ["ember", ...]}'

Prints a JSON object: seconds from start to end, exit status, standard output, standard error. All
of this happens in one process tree, so that a prefix such as `taskset -c 0,1` holds for all of it.
"""
from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def bring_into_memory(path: Path) -> None:
    """Reads a file once, so that no measurement waits for the disk."""
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(1 << 22)
        while file.readinto(buffer):
            pass


def launch(request: dict[str, Any]) -> dict[str, Any]:
    bring_into_memory(Path(request["file"]))
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(request["busy"])]
    try:
        start = time.perf_counter()
        # The command is a child of a shell. The peak of memory that a process sees of itself begins
        # with what its parent had when it was started, and a shell has less than Python.
        result = subprocess.run(
            ["/bin/sh", "-c", '"$@"; exit $?', "sh", *request["command"]],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False)
        seconds = time.perf_counter() - start
    finally:
        for process in spinning:
            process.kill()
        for process in spinning:
            process.wait()
    return {"seconds": seconds, "status": result.returncode, "output": result.stdout,
            "errors": result.stderr}


if __name__ == "__main__":
    print(json.dumps(launch(json.loads(sys.argv[1]))))
