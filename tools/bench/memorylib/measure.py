"""One measured run of one program inside one budget."""
from __future__ import annotations

import json
import re
import statistics
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memorylib import disk
from memorylib.cgroup import DiskLimit, MemoryGroup, Parent
from memorylib.settings import Budget, Program
from memorylib.supervise import Outcome, supervise
from peerslib.processes import ember_command, request_command

LEAST_TOKENS = {True: 8, False: 3}
MOST_TOKENS = 256
DISK_SECONDS = 1.5
PROMPT = "Once upon a time"
UNITS = {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


@dataclass
class Result:
    """What one run came to. Bytes and seconds; None where it is not known."""

    shape: str
    program: str
    budget: str
    limit: int | None
    file: int
    # Empty where it lived.
    death: str = ""
    tokens: int = 0
    tokens_per_second: float | None = None
    read_per_token: float | None = None
    # Of the disk in bytes/s, measured just before and after, or its limit.
    disk: float | None = None
    peak_resident: int = 0
    peak_held: int = 0
    first_token_seconds: float | None = None
    # What Ember's own plan says.
    pinned: float | None = None
    planned_read: float | None = None
    weights_per_token: float | None = None
    seconds: float = 0.0

    @property
    def share_of_disk(self) -> float | None:
        if not (self.read_per_token and self.tokens_per_second and self.disk):
            return None
        return self.read_per_token * self.tokens_per_second / self.disk

    @property
    def share_of_least_read(self) -> float | None:
        """Bytes read per token over what no use of this budget could avoid.

        What could be pinned is what was pinned, and all of the limit that the process never had.
        """
        if None in (self.limit, self.pinned, self.read_per_token, self.weights_per_token):
            return None
        assert self.limit is not None and self.pinned is not None
        assert self.read_per_token is not None and self.weights_per_token is not None
        least = self.weights_per_token - self.pinned - max(
            0, self.limit - max(self.peak_held, self.peak_resident))
        # Less than a hundredth is no streaming to judge.
        return self.read_per_token / least if least > self.weights_per_token / 100 else None


@dataclass(frozen=True)
class Setup:
    """What all runs share."""

    ember: Path
    cgroups: Parent
    context: int
    threads: int
    # To decode for, at least, and after which a run is given up.
    seconds: float
    limit_seconds: float
    # Of `ember run`, for plain decoding.
    ember_options: tuple[str, ...]
    # Bytes/s of the disk; None for all that it has.
    disk_rate: int | None = None


def grouped(setup: Setup, limit: int | None, file: Path) -> Any:
    """A cgroup of its own, so that counters begin at zero; none without a limit."""
    if limit is None:
        return nullcontext(None)
    disk_limit = DiskLimit(setup.disk_rate, file) if setup.disk_rate else None
    return MemoryGroup(setup.cgroups, limit, disk_limit)


def measure(setup: Setup, program: Program, shape: str, file: Path, budget: Budget,
            known_speed: float | None) -> Result:
    """Drops the cache and runs the program, between two looks at the disk."""
    limit = budget.limit(file)
    result = Result(shape, program.label, budget.label, limit, file.stat().st_size)
    disks = [setup.disk_rate or disk.bandwidth(file, DISK_SECONDS)]
    disk.drop_cache(file)
    with grouped(setup, limit, file) as group:
        if program.is_ember:
            tokens = token_count(setup, result, disks[0], known_speed)
            outcome = supervise(
                ember_run(setup, file, tokens, *setup.ember_options), group, setup.limit_seconds)
            _read_ember(result, outcome)
        else:
            outcome = supervise(
                _llama_command(setup, program, file, group), group, setup.limit_seconds,
                joins_itself=True)
            _read_llama(result, outcome)
    result.seconds = outcome.end - outcome.start
    result.peak_held = outcome.peak_held
    disks.append(setup.disk_rate or disk.bandwidth(file, DISK_SECONDS))
    result.disk = statistics.mean(disks)
    return result


def token_count(setup: Setup, result: Result, disk_rate: float,
                known_speed: float | None) -> int:
    """As many tokens as the time is long, by an earlier run or a guess."""
    speed = known_speed
    if not speed:
        missing = max(0.0, result.file - 0.9 * (result.limit or 2 * result.file))
        speed = 1 / max(missing / disk_rate, result.file / 12e9)
    most = min(MOST_TOKENS, setup.context - 32)
    return 1 + max(LEAST_TOKENS[True], min(most, round(setup.seconds * speed)))


def ember_run(setup: Setup, file: Path, tokens: int, *options: str) -> list[str]:
    """Greedy and without an end; the budget is what Ember finds the cgroup to have."""
    return ember_command(
        setup.ember, "run", str(file), "--prompt", PROMPT, "--temperature", "0", "--ignore-end",
        "-n", str(tokens), "--context", str(setup.context), "--memory", "auto",
        "--threads", str(setup.threads), *options)


def _llama_command(setup: Setup, program: Program, file: Path,
                   group: MemoryGroup | None) -> list[str]:
    return request_command("memorylib.llama_decode", {
        "file": str(file), "repack": program.repack, "context": setup.context,
        "threads": setup.threads,
        "processes": [str(file) for file in group.processes] if group else [],
        "least": LEAST_TOKENS[False], "most": MOST_TOKENS, "seconds": setup.seconds})


def death(outcome: Outcome, stage: str) -> str:
    """How it ended, if not well."""
    if outcome.kills:
        return "killed: out of memory"
    if outcome.is_timed_out:
        return f"{stage} in {outcome.end - outcome.start:.0f} s"
    if outcome.status:
        return f"exit status {outcome.status}: {outcome.last_error[:160]}"
    return ""


def _read_ember(result: Result, outcome: Outcome) -> None:
    result.death = death(outcome, "not done")
    result.peak_resident = outcome.peak_resident
    if result.death:
        return
    reply = json.loads(outcome.output)
    result.tokens = reply["generated_tokens"] - 1
    result.tokens_per_second = reply["tokens_per_second"]
    result.first_token_seconds = reply["load_seconds"] + reply["first_token_seconds"]
    result.peak_resident = reply["peak_memory_bytes"]
    result.weights_per_token = reply["weight_bytes_per_token"]
    # In the object's part about memory, or in the line about the plan.
    for name, key, words in (("pinned", "pinned_bytes", "pinned"),
                             ("planned_read", "streamed_bytes_per_token", "streamed per token")):
        value = _find(reply, key)
        setattr(result, name, _size(outcome.errors, words) if value is None else value)
    if result.planned_read is not None and result.pinned is None:
        result.pinned = 0.0
    if result.pinned is not None:
        # Room of the cache that holds weights until the text is longer.
        result.pinned += _find(reply, "lent_bytes") or 0
    # The object is printed when the last token is there.
    end = outcome.lines[0][0]
    speed = reply["tokens_per_second"]
    rate = outcome.read_rate(end - result.tokens / speed, end) if speed else None
    result.read_per_token = rate / speed if rate is not None and speed else None


def _find(values: dict[str, Any], key: str) -> float | None:
    """The number of a key, wherever in the object it is."""
    if isinstance(values.get(key), (int, float)):
        return float(values[key])
    inner = (_find(value, key) for value in values.values() if isinstance(value, dict))
    return next((value for value in inner if value is not None), None)


def _size(text: str, what: str) -> float | None:
    """The number before some words of Ember's line about its plan, in bytes."""
    found = re.search(rf"([\d.,]+) ([KMGT]?B) {what}", text)
    return float(found[1].replace(",", "")) * UNITS[found[2]] if found else None


def _read_llama(result: Result, outcome: Outcome) -> None:
    replies = [json.loads(line) for _, line in outcome.lines if line.endswith("}\n")]
    tokens = [reply for reply in replies if "token" in reply]
    # One that was stopped while it decoded has a figure.
    if not (tokens and outcome.is_timed_out):
        result.death = death(outcome, "no first token")
    result.peak_resident = replies[-1].get("peak_memory_bytes", outcome.peak_resident) if replies \
        else outcome.peak_resident
    if not tokens:
        return
    result.first_token_seconds = tokens[0]["first_token_seconds"]
    result.tokens = tokens[-1]["token"]
    if result.tokens:
        result.tokens_per_second = result.tokens / tokens[-1]["seconds"]
        result.read_per_token = (tokens[-1]["read"] - tokens[0]["read"]) / result.tokens


def median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
