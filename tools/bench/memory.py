#!/usr/bin/env python3
"""Measure Ember and llama.cpp with less memory than their file has bytes.

Run tools/bench/memory, which sets up what this needs. Both get files of random weights of the same
shape, 4 bits; each run gets a memory cgroup of its own, with a limit in percent of the program's
own file, and begins with the file out of the page cache. They take turns, A B A B:

  tokens/s, bytes read per token   after the first token, until the end
  of the disk's speed              four reads of 4 MB at a time past the cache, before and after
  held                             charged to the cgroup less file pages, sampled 20 times a second
  resident                         the process's own peak, mapped file pages included

Ember finds its budget itself (--memory auto). llama.cpp maps its file, with load-time repacking off
and on; where it does not come to its first token in time, it is not tried again. What is there when
time is up or Ctrl-C comes is printed. Needs Linux and rights to make cgroups.
"""
from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import signal
import sys
import time
from pathlib import Path

from memorylib import cgroup, files, measure, scenarios
from memorylib.report import Report
from memorylib.settings import EMBER, Budget, Program, programs
from memorylib.soak import Soak, soak
from peerslib import machine
from peerslib.cache import say
from peerslib.processes import llama, run


def budget_list(text: str) -> list[Budget]:
    try:
        budgets = [
            Budget(None if part in ("none", "unlimited") else float(part))
            for part in text.split(",")]
    except ValueError:
        budgets = []
    if not budgets or any(budget.percent is not None and budget.percent <= 0 for budget in budgets):
        raise argparse.ArgumentTypeError(f"expected percents such as 50,75,none, found {text}")
    return budgets


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench/memory", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ember", type=Path, required=True, metavar="FILE",
                        help="the program; by default the wrapper builds it")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER",
                        help="where files are kept; by default what the wrapper uses")
    parser.add_argument("--only", default="1.1B,7B", metavar="1.1B,7B",
                        help="shapes, as tools/bench/peers takes them; default: 1.1B,7B")
    parser.add_argument("--budgets", type=budget_list, metavar="50,75,none",
                        default=budget_list("10,50,75,90,110,none"),
                        help="percent of the file, none for no limit;"
                        " default: 10,50,75,90,110,none")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--minutes", type=float, default=45.0,
                        help="no further run that would end later; default: 45")
    parser.add_argument("--seconds", type=float, default=20.0,
                        help="to decode for in each run; default: 20")
    parser.add_argument("--limit-seconds", type=float, default=120.0,
                        help="after which a run is given up; default: 120")
    parser.add_argument("--context", type=int, default=512, help="default: 512")
    parser.add_argument("--threads", type=int, default=machine.physical_cores(),
                        help="default: the physical cores")
    parser.add_argument("--without-llama", action="store_true", help="measure Ember only")
    parser.add_argument("--lookup", action="store_true",
                        help="also prompt look-up against plain decoding, at 50 percent")
    parser.add_argument("--parallel", type=int, metavar="8",
                        help="also so many prompts at once against one, at 50 percent")
    parser.add_argument("--soak", type=float, metavar="MINUTES",
                        help="instead of all that: Ember at 50 percent, text after text")
    parser.add_argument("--disk-limit", type=float, metavar="MB/S",
                        help="let the disk read no faster, so that its share is exact")
    parser.add_argument("--reuse", action="store_true",
                        help="take Ember files that are there, whichever build wrote them")
    parser.add_argument("--cgroup", type=Path, metavar="FOLDER",
                        help="make cgroups there; default: the root of the hierarchy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables")
    args = parser.parse_args()
    args.shapes = args.only.split(",")
    for name, least in (("rounds", 1), ("minutes", 0.1), ("seconds", 0.1), ("limit_seconds", 1),
                        ("threads", 1), ("context", 64), ("parallel", 2), ("soak", 0.1),
                        ("disk_limit", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            parser.error(
                f"--{name.replace('_', '-')}: expected {least} or more, found {value:g}")
    return args


class Clock:
    """The time that is left, and what runs like the one to come took."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes
        self.taken: dict[object, float] = {}

    def allows(self, key: object, guess: float) -> bool:
        return time.monotonic() + self.taken.get(key, guess) <= self.end


def measure_all(args: argparse.Namespace, setup: measure.Setup, made: list[files.Files],
                report: Report, clock: Clock) -> None:
    """Rounds of all shapes and budgets, the programs in turn."""
    hopeless: set[tuple[str, Budget, Program]] = set()
    for _ in range(args.rounds):
        for each in made:
            for budget in args.budgets:
                for program in programs(each.llama is not None):
                    key = (each.shape, budget, program)
                    if not program.takes(budget) or key in hopeless:
                        continue
                    if not clock.allows(key, args.seconds + 10):
                        return
                    begun = time.monotonic()
                    file = each.ember if program.is_ember else each.llama
                    assert file
                    known = [
                        result.tokens_per_second for result in report.results
                        if (result.shape, result.budget, result.program)
                        == (each.shape, budget.label, program.label) and result.tokens_per_second]
                    result = measure.measure(
                        setup, program, each.shape, file, budget, measure.median(known))
                    report.results.append(result)
                    clock.taken[key] = time.monotonic() - begun
                    if result.death and program != EMBER:
                        hopeless.add(key)
                    speed = result.tokens_per_second
                    say(f"{each.shape}, {budget.label}, {program.label}: "
                        + (result.death or f"{speed or 0:.3g} tokens/s"))


def measure_more(args: argparse.Namespace, setup: measure.Setup, made: list[files.Files],
                 report: Report, clock: Clock) -> None:
    """What the program has options for; a note for what it has not."""
    options = scenarios.known_options(args.ember)
    half = Budget(50)
    for wanted, option in ((args.lookup, "--no-lookup"), (args.parallel, "--parallel")):
        if not wanted:
            continue
        if option not in options:
            report.notes.append(f"This Ember does not have {option}: left out.")
            continue
        for each in made:
            if not clock.allows((each.shape, option), 2 * args.seconds):
                report.notes.append(f"No time was left for {option}, {each.shape}.")
                continue
            say(f"{each.shape}, {half.label}, {option}")
            report.gains.append(
                scenarios.parallel(setup, each.shape, each.ember, half, args.parallel)
                if option == "--parallel"
                else scenarios.lookup(setup, each.shape, each.ember, half))


def disk_rate(args: argparse.Namespace) -> int | None:
    """In bytes/s."""
    return round(1e6 * args.disk_limit) if args.disk_limit else None


def make_report(args: argparse.Namespace) -> Report:
    versions = {"Ember": run([str(args.ember), "--version"]).strip().removeprefix("ember ")}
    if not args.without_llama:
        versions["llama.cpp"] = (
            f"of llama-cpp-python {importlib.metadata.version('llama_cpp_python')}, built here"
            f" ({llama({'do': 'about'})['system'].rstrip(' |')})")
    return Report(
        datetime.date.today().isoformat(), machine.describe(), versions, args.context,
        args.threads, disk_rate(args))


def main() -> None:
    if sys.platform != "linux":
        raise SystemExit("memory: expected Linux, which has cgroups")
    args = parse()
    args.ember = args.ember.resolve()
    args.without_llama = args.without_llama or args.soak is not None
    plain = ("--no-lookup",) if "--no-lookup" in scenarios.known_options(args.ember) else ()
    setup = measure.Setup(
        args.ember, cgroup.find_parent(args.cgroup), args.context, args.threads, args.seconds,
        args.limit_seconds, plain, disk_rate(args))
    made = [
        files.make(args.cache, shape, args.ember, args.reuse, not args.without_llama)
        for shape in args.shapes]
    report = make_report(args)
    # `timeout` and service managers ask so; a shell's background jobs ignore Ctrl-C otherwise.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    clock = Clock(args.minutes)
    try:
        if args.soak:
            for each in made:
                limit = Budget(50).limit(each.ember)
                assert limit
                into = Soak(each.shape, Budget(50).label, limit)
                report.soaks.append(into)
                soak(setup, each.ember, args.soak, into)
        else:
            measure_all(args, setup, made, report, clock)
            measure_more(args, setup, made, report, clock)
    except KeyboardInterrupt:
        report.notes.append("Interrupted: not all was measured.")
    text = report.markdown()
    print(text, end="")
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps(report.raw(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (OSError, KeyboardInterrupt) as error:
        sys.exit(f"memory: {error or 'stopped'}")
