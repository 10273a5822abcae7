"""The measurements: all settings in turn, each in a fresh process, round after round."""
from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from peerslib.cache import say
from peerslib.processes import Measured, ember_command, llama_command, measured
from peerslib.settings import EmberSetting, Llama2cSetting, LlamaSetting, Setting

DEPTH = 16


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    threads: list[int]
    tests: set[str]
    prompts: list[int]
    generate: int
    rounds: int
    prompt_every: int
    prefix: list[str]

    @property
    def positions(self) -> int:
        return max([DEPTH + self.generate, *self.prompts])


@dataclass(frozen=True)
class Sample:
    """One number.

    `test` is decode or prompt (tokens/s), start (s), or peak (bytes); of the machine it is
    bandwidth (bytes/s) or int8 peak (operations/s).
    """

    program: str
    label: str
    test: str
    threads: int
    tokens: int
    value: float
    round: int
    busy: int


@dataclass
class Measurements:
    """All samples, and what the tables need beside them.

    By setting the bytes of its file, and of the weights that a token reads; by length of the prompt
    the operations with weights per token; by busy programs the rounds.
    """

    samples: list[Sample] = field(default_factory=list)
    file_bytes: dict[str, int] = field(default_factory=dict)
    weight_bytes: dict[str, int] = field(default_factory=dict)
    operations: dict[int, float] = field(default_factory=dict)
    rounds: dict[int, int] = field(default_factory=dict)

    def values(self, label: str, test: str, threads: int, tokens: int = 0,
               busy: int = 0) -> list[float]:
        return [
            sample.value for sample in self.samples
            if (sample.label, sample.test, sample.threads, sample.tokens, sample.busy)
            == (label, test, threads, tokens, busy)]

    def raw(self) -> list[dict[str, Any]]:
        return [asdict(sample) for sample in self.samples]


class Runner:
    """Measures settings, and collects samples."""

    def __init__(self, ember_program: Path, files: dict[Setting, Path], plan: Plan) -> None:
        self.ember_program = ember_program
        self.files = files
        self.plan = plan
        self.result = Measurements()

    def run(self, settings: list[Setting], minutes: float, busy: int = 0) -> None:
        """Rounds until all are done, or the next would end after so many minutes."""
        start, longest = time.monotonic(), 0.0
        for index in range(self.plan.rounds):
            begin = time.monotonic()
            if index and begin - start + longest > 60 * minutes:
                say(f"stopping after {index} rounds: the next would take too long")
                break
            # Every other round backwards, so that what drifts within a round evens out.
            for setting in settings if index % 2 == 0 else settings[::-1]:
                note = f", {busy} busy programs" if busy else ""
                say(f"round {index + 1} of {self.plan.rounds}{note}: {setting.label}")
                self._measure(setting, index, busy)
            self.result.rounds[busy] = index + 1
            longest = max(longest, time.monotonic() - begin)

    def _measure(self, setting: Setting, index: int, busy: int) -> None:
        prompts = self.plan.prompts if index % self.plan.prompt_every == 0 and not busy else []
        if not prompts and not busy and self.plan.tests <= {"prompt", "busy"}:
            return
        if isinstance(setting, EmberSetting):
            self._ember(setting, prompts, index, busy)
        elif isinstance(setting, LlamaSetting):
            self._llama(setting, prompts, index, busy)
        else:
            self._llama2c(setting, index, busy)

    def _generate(self, prompts: list[int], busy: int) -> int:
        """Tokens to decode: one where nothing else is asked for, as something must be computed."""
        if busy or "decode" in self.plan.tests:
            return self.plan.generate
        return 0 if prompts else 1

    def _process(self, setting: Setting, command: list[str], busy: int) -> Measured:
        return measured(command, self.files[setting], busy, self.plan.prefix)

    def _add(self, setting: Setting, test: str, threads: int, tokens: int, value: float,
             index: int, busy: int) -> None:
        program = {EmberSetting: "Ember", LlamaSetting: "llama.cpp"}.get(
            type(setting), "llama2.c")
        self.result.samples.append(
            Sample(program, setting.label, test, threads, tokens, value, index, busy))

    def _ember(self, setting: EmberSetting, prompts: list[int], index: int, busy: int) -> None:
        path = str(self.files[setting])
        command = ember_command(
            self.ember_program, "bench", path, "--repetitions", "1",
            "--threads", ",".join(map(str, self.plan.threads)),
            "--prompt-tokens", ",".join(map(str, prompts)) or "0",
            "--generate", str(self._generate(prompts, busy)),
            "--depth", str(DEPTH), "--context", str(self.plan.positions))
        report = self._process(setting, command, busy).reply
        self.result.file_bytes[setting.label] = report["file_bytes"]
        self.result.weight_bytes[setting.label] = report["weight_bytes_per_token"]
        if "initial_first_token_seconds" not in report:
            raise SystemExit(
                f"{self.ember_program}: expected an Ember whose bench reports how long the first"
                " token takes, found an older one")
        machine: dict[tuple[str, int], float] = {}
        for entry in report["results"]:
            threads, speed = entry["threads"], entry["tokens_per_second"]
            self._add(setting, entry["test"], threads, entry["tokens"], speed, index, busy)
            machine["bandwidth", threads] = entry["read_bandwidth_bytes_per_second"]
            machine["int8 peak", threads] = entry["int8_peak_operations_per_second"]
            if entry["operations_per_second"]:
                self.result.operations[entry["tokens"]] = entry["operations_per_second"] / speed
        for (test, threads), value in machine.items():
            self._add(setting, test, threads, 0, value, index, busy)
        if "load" in self.plan.tests and not busy:
            self._add(setting, "start", 0, 0, report["initial_first_token_seconds"], index, busy)
        if prompts or not self.plan.prompts:
            self._add(setting, "peak", 0, 0, report["peak_memory_bytes"], index, busy)

    def _llama(self, setting: LlamaSetting, prompts: list[int], index: int, busy: int) -> None:
        command = llama_command({
            "do": "measure", "file": str(self.files[setting]), "repack": setting.repack,
            "threads": self.plan.threads, "prompts": prompts, "depth": DEPTH,
            "generate": self._generate(prompts, busy),
            "context": self.plan.positions, "limit": 20.0})
        reply = self._process(setting, command, busy).reply
        for entry in reply["results"]:
            self._add(setting, entry["test"], entry["threads"], entry["tokens"],
                      entry["tokens_per_second"], index, busy)
        if "load" in self.plan.tests and not busy:
            self._add(setting, "start", 0, 0, reply["first_token_seconds"], index, busy)
        if prompts or not self.plan.prompts:
            self._add(setting, "peak", 0, 0, reply["peak_memory_bytes"], index, busy)

    def _llama2c(self, setting: Llama2cSetting, index: int, busy: int) -> None:
        """llama2.c prints its speed behind the first token, over a text of 256 tokens."""
        file = self.files[setting]
        for threads in self.plan.threads:
            result = self._process(setting, [
                "env", f"OMP_NUM_THREADS={threads}", setting.program, str(file),
                "-z", str(file.with_name("tokenizer.bin")),
                "-t", "1", "-p", "1", "-s", str(index + 1), "-n", "256"], busy)
            found = re.search(r"achieved tok/s: ([0-9.]+)", result.errors)
            if found:
                self._add(setting, "decode", threads, self.plan.generate, float(found[1]),
                          index, busy)
