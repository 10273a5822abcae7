"""llama.cpp inside a memory limit: loads a file, decodes, and prints what every token took.

    python -m memorylib.llama_decode '{"file": ..., "processes": ..., ...}'

It enters the cgroup before it loads the model and after Python and the library are there, so that
neither counts. A line of JSON follows the first token and each further one, so that something is
known of a run that was killed.
"""
from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

from peerslib.llama_worker import Llama, bindings, memory


def read_bytes() -> int:
    """Bytes that this process had read from the disk."""
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("read_bytes:"):
            return int(line.split()[1])
    return 0


def say(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    request = json.loads(sys.argv[1])
    bindings()
    for file in request["processes"]:
        Path(file).write_text("0", encoding="ascii")
    llama = Llama(request, request["threads"])
    start = time.perf_counter()
    say({"token": 0, "seconds": 0, "read": read_bytes(),
         "first_token_seconds": llama.first_token_seconds})
    one = (ctypes.c_int32 * 1)()
    for index, token in enumerate(llama.tokens(request["most"]), 1):
        one[0] = token
        llama.decode(one)
        seconds = time.perf_counter() - start
        say({"token": index, "seconds": seconds, "read": read_bytes()})
        if index >= request["least"] and seconds >= request["seconds"]:
            break
    say({"peak_memory_bytes": memory("VmHWM") - llama.before})


if __name__ == "__main__":
    main()
