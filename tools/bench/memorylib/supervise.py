"""Runs a program, inside a memory cgroup or outside, and watches it until it ends."""
from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from memorylib.cgroup import MemoryGroup
from peerslib.processes import BENCH_FOLDER

INTERVAL_SECONDS = 0.05


@dataclass(frozen=True)
class Sample:
    """A process at one time, in seconds of time.monotonic() and bytes."""

    time: float
    read: int
    resident: int
    held: int


@dataclass
class Outcome:
    """What a watched process printed, how it ended, and what it had."""

    start: float
    status: int = 0
    end: float = 0.0
    is_timed_out: bool = False
    kills: int = 0
    # Lines of standard output with the time of their arrival.
    lines: list[tuple[float, str]] = field(default_factory=list)
    errors: str = ""
    samples: list[Sample] = field(default_factory=list)
    # The most of resident memory, mapped file pages included; and the most that was charged to the
    # cgroup without cache. Bytes, 0 where unknown.
    peak_resident: int = 0
    peak_held: int = 0

    @property
    def output(self) -> str:
        return "".join(line for _, line in self.lines)

    @property
    def last_error(self) -> str:
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def read_rate(self, start: float, end: float) -> float | None:
        """Bytes/s read from the disk between two times."""
        within = [sample for sample in self.samples if start <= sample.time <= end]
        if len(within) < 2 or within[-1].time <= within[0].time:
            return None
        return (within[-1].read - within[0].read) / (within[-1].time - within[0].time)


def _number(process: int, file: str, key: str) -> int:
    try:
        with open(f"/proc/{process}/{file}", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith(key):
                    return int(line.split()[1])
    except (OSError, ProcessLookupError):
        pass
    return 0


def supervise(command: list[str], group: MemoryGroup | None, limit_seconds: float,
              joins_itself: bool = False,
              on_line: Callable[[str], None] | None = None,
              interval: float = INTERVAL_SECONDS) -> Outcome:
    """Runs a command until it ends or its time is up, and then kills it.

    With `joins_itself` the command enters the cgroup at a time of its own choice.
    """
    if group and not joins_itself:
        # A shell that becomes the program: it is charged from its first page on.
        for file in group.processes:
            command = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(file), *command]
    with tempfile.TemporaryFile() as errors:
        outcome = Outcome(time.monotonic())
        process = subprocess.Popen(
            command, cwd=BENCH_FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, text=True, errors="replace")

        def collect() -> None:
            assert process.stdout
            for line in process.stdout:
                outcome.lines.append((time.monotonic(), line))
                if on_line:
                    on_line(line)

        reader = threading.Thread(target=collect)
        reader.start()
        try:
            _watch(process, group, outcome, limit_seconds, interval)
        finally:
            # Also after Ctrl-C: nothing may stay behind in the cgroup.
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
        outcome.status = process.returncode
        outcome.end = time.monotonic()
        outcome.kills = group.kills() if group else 0
        errors.seek(0)
        outcome.errors = errors.read().decode(errors="replace")
    return outcome


def _watch(process: subprocess.Popen[str], group: MemoryGroup | None, outcome: Outcome,
           limit_seconds: float, interval: float) -> None:
    while process.poll() is None:
        now = time.monotonic()
        if now - outcome.start > limit_seconds:
            outcome.is_timed_out = True
            return
        resident = _number(process.pid, "status", "VmRSS:") * 1024
        read = _number(process.pid, "io", "read_bytes:")
        held = group.held_bytes() if group else 0
        outcome.peak_resident = max(
            outcome.peak_resident, _number(process.pid, "status", "VmHWM:") * 1024)
        outcome.peak_held = max(outcome.peak_held, held)
        # What has just ended reads as nothing.
        if resident and read:
            outcome.samples.append(Sample(now, read, resident, held))
        time.sleep(interval)
