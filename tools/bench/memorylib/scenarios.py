"""More than one token per pass over the weights: prompt look-up, and many prompts at once."""
from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from memorylib import disk
from memorylib.measure import PROMPT, Setup, death, ember_run, grouped
from memorylib.settings import Budget
from memorylib.supervise import supervise
from peerslib.processes import run

LOOKUP_TOKENS = 64
PARALLEL_TOKENS = 32
# Greedy text of random weights soon repeats one token, so look-up guesses right from the start.
REPEATING = "one two three four five six seven eight nine ten " * 6


@dataclass(frozen=True)
class Gain:
    """Tokens/s without and with something, of one run each; what went wrong, if anything."""

    shape: str
    budget: str
    scenario: str
    without: float | None
    with_it: float | None
    death: str = ""


def known_options(program: Path) -> str:
    """What `ember run` says that it takes."""
    return run([str(program), "run", "--help"])


def lookup(setup: Setup, shape: str, file: Path, budget: Budget) -> Gain:
    """A text that repeats itself, decoded plainly and with guesses from the text so far."""
    speeds: list[float | None] = []
    problem = ""
    for option in ("--no-lookup", "--lookup"):
        disk.drop_cache(file)
        with grouped(setup, budget.limit(file), file) as group:
            command = ember_run(setup, file, LOOKUP_TOKENS, option)
            command[command.index(PROMPT)] = REPEATING
            outcome = supervise(command, group, setup.limit_seconds)
        failure = death(outcome, "not done")
        speeds.append(None if failure else json.loads(outcome.output)["tokens_per_second"])
        problem = problem or failure
    return Gain(shape, budget.label, "prompt look-up", speeds[0], speeds[1], problem)


def parallel(setup: Setup, shape: str, file: Path, budget: Budget, count: int) -> Gain:
    """One prompt and many, from start to end, loading included."""
    speeds: list[float | None] = []
    problem = ""
    for sequences in (1, count):
        disk.drop_cache(file)
        with tempfile.TemporaryDirectory() as folder:
            prompts, results = Path(folder) / "prompts.txt", Path(folder) / "results.jsonl"
            prompts.write_text(
                "".join(f"{PROMPT} there were {index}\n" for index in range(sequences)),
                encoding="utf-8")
            command = [
                str(setup.ember), "run", str(file), "--prompts", str(prompts), "--parallel",
                str(sequences), "--output", str(results), "--temperature", "0", "--ignore-end",
                "-n", str(PARALLEL_TOKENS), "--context", "128", "--memory", "auto",
                "--threads", str(setup.threads), *setup.ember_options]
            with grouped(setup, budget.limit(file), file) as group:
                outcome = supervise(command, group, setup.limit_seconds)
            failure = death(outcome, "not done")
            speed = None
            if not failure:
                tokens = sum(
                    json.loads(line)["generated_tokens"]
                    for line in results.read_text(encoding="utf-8").splitlines())
                speed = tokens / (outcome.end - outcome.start)
        speeds.append(speed)
        problem = problem or failure
    return Gain(shape, budget.label, f"--parallel {count}", speeds[0], speeds[1], problem)
