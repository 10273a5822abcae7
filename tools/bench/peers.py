#!/usr/bin/env python3
"""Compare Ember's speed and memory with llama.cpp's on the same weights.

Run tools/bench/peers, which sets up what this needs. Both get the same weights, and first show that
they compute the same function of them; then they take turns, A B A B, each time in a fresh process:

  decode   64 tokens, one after another, behind 16
  prompt   128 and 512 tokens at once, in every other round
  load     from opening the file, in the system's cache, to the first token's logits; peak memory
  busy     decoding at 4 bits while other programs use the cores

llama.cpp runs as its own llama-bench does: its defaults, warmed up, logits of the last token only,
each format with its load-time repacking on and off; its memory is counted without Python's. Its
files hold no vocabulary, Ember's do, which costs Ember memory and time at the start. Peak memory
counts mapped pages of the file. The read bandwidth and the int8 peak are what `ember bench`
measures between its tests.
"""
from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from peerslib import agreement, cache, machine
from peerslib.processes import ember, llama, run
from peerslib.report import Report
from peerslib.rounds import DEPTH, Plan, Runner
from peerslib.settings import (
    GROUPS,
    EmberSetting,
    Llama2cSetting,
    LlamaSetting,
    Setting,
    ember_settings,
    in_turn,
    llama_settings,
)

TESTS = ("decode", "prompt", "load", "busy")


def names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """A parser of lists such as decode,prompt."""

    def parse(text: str) -> list[str]:
        parts = text.split(",")
        unknown = [part for part in parts if part not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"expected some of {','.join(known)}, found {','.join(unknown)}")
        return parts

    return parse


def counts(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,2, found {text}")
    return sorted(set(map(int, parts)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench/peers", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ember", type=Path, required=True, metavar="FILE",
                        help="the program; by default the wrapper builds it")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER",
                        help="where files are kept; by default what the wrapper uses")
    parser.add_argument("--shape", default="1.1B",
                        help="random weights: tiny, 1.1B, 7B or WIDTHxLAYERSxFFNxHEADSxKVHEADSx"
                        "VOCABULARY; default: 1.1B")
    parser.add_argument("--model", type=Path, metavar="CHECKPOINT",
                        help="a trained model instead: a Hugging Face folder of the Llama"
                        " architecture, or a llama2.c .bin file")
    parser.add_argument("--only", type=names(tuple(GROUPS)), default=list(GROUPS),
                        metavar="q4,q8,f16", help="precisions; default: all")
    parser.add_argument("--tests", type=names(TESTS), metavar=",".join(TESTS),
                        help="default: all, with --quick decode,prompt")
    parser.add_argument("--threads", type=counts, metavar="1,2",
                        help="default: 1 and the physical cores")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5, with --quick 2")
    parser.add_argument("--minutes", type=float, default=22.0,
                        help="no further round that would end later, but at least one;"
                        " default: 22, with --quick 4")
    parser.add_argument("--prompts", type=counts, default=[128, 512], metavar="128,512",
                        help="lengths; those beyond the model's context are cut to it")
    parser.add_argument("--generate", type=int, default=64, help="tokens to decode; default: 64")
    parser.add_argument("--outliers", type=float, default=0.5, metavar="PERCENT",
                        help="of Ember's additional 4-bit file, 0 for none; default: 0.5")
    parser.add_argument("--busy", type=int, default=2, metavar="N",
                        help="programs that use the cores in the test of that name; default: 2")
    parser.add_argument("--run", type=Path, metavar="PROGRAM", help="llama2.c's run, for fp32")
    parser.add_argument("--runq", type=Path, metavar="PROGRAM", help="llama2.c's runq, for int8")
    parser.add_argument("--prefix", default="", metavar="COMMAND",
                        help="put before each measured process, such as 'taskset -c 0,1'")
    parser.add_argument("--reuse", action="store_true",
                        help="take Ember files that are there, whichever build wrote them")
    parser.add_argument("--quick", action="store_true",
                        help="two rounds, prompts of 128 tokens, no f16 unless --only says so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables")
    args = parser.parse_args()
    if args.quick:
        for name, value in (("rounds", 2), ("minutes", 4.0), ("prompts", [128]),
                            ("only", ["q4", "q8"])):
            if getattr(args, name) == parser.get_default(name):
                setattr(args, name, value)
    args.tests = args.tests or (["decode", "prompt"] if args.quick else list(TESTS))
    args.threads = args.threads or sorted({1, machine.physical_cores()})
    for name in ("rounds", "generate", "busy"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}: expected 1 or more, found {getattr(args, name)}")
    return args


def make_plan(args: argparse.Namespace, context: int) -> Plan:
    prompts = sorted({min(length, context) for length in args.prompts})
    return Plan(
        threads=args.threads, tests=set(args.tests),
        prompts=prompts if "prompt" in args.tests else [],
        generate=min(args.generate, context - DEPTH), rounds=args.rounds, prompt_every=2,
        prefix=shlex.split(args.prefix))


def make_files(args: argparse.Namespace, subject: cache.Subject, settings: list[Setting],
               llama_version: str) -> dict[Setting, Path]:
    """The file of each setting."""
    origin = None if args.reuse else cache.ember_origin(args.ember)
    cores = machine.physical_cores()
    files: dict[Setting, Path] = {}
    for setting in settings:
        if isinstance(setting, EmberSetting):
            files[setting] = cache.ember_file(subject, setting, args.ember, origin)
        elif isinstance(setting, LlamaSetting):
            files[setting] = cache.llama_file(subject, setting, llama_version, cores)
        else:
            files[setting] = cache.llama2c_folder(subject) / setting.file_name
    return files


def llama2c_settings(args: argparse.Namespace) -> list[Setting]:
    programs = ((32, "fp32", args.run, "model.bin"), (8, "int8", args.runq, "modelq.bin"))
    return [
        Llama2cSetting(bits, label, str(program.resolve()), name)
        for bits, label, program, name in programs if program]


def main() -> None:
    args = parse()
    args.ember = args.ember.resolve()
    llama_version = importlib.metadata.version("llama_cpp_python")
    subject = (cache.real_subject(args.cache, args.model) if args.model
               else cache.random_subject(args.cache, args.shape))
    bits = {GROUPS[name] for name in args.only}
    settings = in_turn(
        [*ember_settings(bits, args.outliers)], [*llama_settings(bits), *llama2c_settings(args)])
    files = make_files(args, subject, settings, llama_version)
    whole: list[Setting] = [*ember_settings({16}, 0), LlamaSetting(16, "F16", False)]
    reference = make_files(args, subject, whole, llama_version)
    ember_full, llama_full = (reference[setting] for setting in whole)
    cache.say("comparing logits at F16")
    vocabulary = ember(args.ember, "inspect", str(ember_full))["vocabulary_size"]
    agreed = agreement.compare(args.ember, ember_full, llama_full, vocabulary, subject.context)
    cache.say(f"logits agree within {agreed.largest_difference:.2g} standard deviations")

    plan = make_plan(args, subject.context)
    runner = Runner(args.ember, files, plan)
    if plan.tests != {"busy"}:
        runner.run([setting for setting in settings
                    if not isinstance(setting, Llama2cSetting) or "decode" in plan.tests],
                   args.minutes * (0.75 if "busy" in plan.tests else 1))
    if "busy" in plan.tests:
        runner.run([setting for setting in settings if setting.bits == min(bits)],
                   args.minutes * (0.25 if plan.tests != {"busy"} else 1), args.busy)
    for setting in settings:
        runner.result.file_bytes[setting.label] = files[setting].stat().st_size
        if isinstance(setting, LlamaSetting):
            runner.result.weight_bytes[setting.label] = cache.weight_bytes_per_token(files[setting])

    report = Report(
        subject=subject.name, date=datetime.date.today().isoformat(), machine=machine.describe(),
        versions={
            "Ember": run([str(args.ember), "--version"]).strip().removeprefix("ember "),
            "llama.cpp": f"of llama-cpp-python {llama_version}, built here"
            f" ({llama({'do': 'about'})['system'].rstrip(' |')})",
        },
        agreement=agreed, plan=plan, busy=args.busy, measured=runner.result,
        settings=sorted(settings, key=lambda setting: setting.bits))
    text = report.markdown()
    print(text, end="")
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps({
            "subject": report.subject, "date": report.date, "machine": report.machine,
            "versions": report.versions, "file_bytes": runner.result.file_bytes,
            "weight_bytes_per_token": runner.result.weight_bytes,
            "samples": runner.result.raw()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (OSError, KeyboardInterrupt) as error:
        sys.exit(f"peers: {error or 'stopped'}")
