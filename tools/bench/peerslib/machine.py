"""What is known of the machine that a measurement was taken on."""
from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

NOTABLE = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8",
    "asimd", "asimddp", "i8mm", "bf16", "sve")


def _cpuinfo() -> dict[str, str]:
    """The first value of each key of /proc/cpuinfo; empty elsewhere than on Linux."""
    values: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            values.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return values


def _sysctl(key: str) -> str:
    try:
        return subprocess.run(
            ["sysctl", "-n", key], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def physical_cores() -> int:
    """Cores that this process may use, hardware threads of one core counted once."""
    if not hasattr(os, "sched_getaffinity"):
        return int(_sysctl("hw.perflevel0.physicalcpu") or _sysctl("hw.physicalcpu")
                   or os.cpu_count() or 1)
    cores = set()
    for processor in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text(encoding="ascii").strip())
        except OSError:
            cores.add(str(processor))
    return len(cores)


def describe() -> dict[str, object]:
    """Processor, cores, instruction sets that matter here, memory in bytes, system."""
    information = _cpuinfo()
    flags = (information.get("flags") or information.get("Features") or "").split()
    return {
        "processor": information.get("model name") or _sysctl("machdep.cpu.brand_string")
        or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": physical_cores(),
        "instruction_sets": [flag for flag in NOTABLE if flag in flags],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(terse=True),
    }
