"""Memory cgroups, version 2 or 1: limits, what is charged to them, and whether they killed."""
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Parent:
    """A folder that cgroups with a memory limit can be made in."""

    folder: Path
    version: int


def find_parent(given: Path | None) -> Parent:
    """The given folder, or the root of the hierarchy; ends the program where none can be used."""
    folders = [given] if given else [ROOT / "memory", ROOT]
    for folder in folders:
        if (folder / "memory.limit_in_bytes").exists():
            if os.access(folder, os.W_OK):
                return Parent(folder, 1)
        elif "memory" in _words(folder / "cgroup.controllers"):
            if "memory" not in _words(folder / "cgroup.subtree_control"):
                try:
                    (folder / "cgroup.subtree_control").write_text("+memory", encoding="ascii")
                except OSError:
                    continue
            if os.access(folder, os.W_OK):
                return Parent(folder, 2)
    raise SystemExit(
        f"{' or '.join(map(str, folders))}: expected a memory cgroup that may be written, found"
        " none: run this as root, or give a folder of your own with --cgroup")


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _fields(path: Path) -> dict[str, int]:
    words = _words(path)
    return {key: int(value) for key, value in zip(words[::2], words[1::2], strict=False)}


@dataclass(frozen=True)
class DiskLimit:
    """Bytes/s that may be read from the disk that a file lies on."""

    rate: int
    file: Path

    @property
    def device(self) -> str:
        """Of the whole disk, MAJOR:MINOR: limits of partitions are not taken."""
        number = self.file.stat().st_dev
        name = f"{os.major(number)}:{os.minor(number)}"
        folder = Path("/sys/dev/block") / name
        if (folder / "partition").exists():
            return (folder.resolve().parent / "dev").read_text(encoding="ascii").strip()
        return name


class MemoryGroup:
    """A cgroup with a limit and without swap, removed at the end of a `with` block.

    With a limit of the disk, too, it is two of them where the interface has version 1.
    """

    def __init__(self, parent: Parent, limit: int, disk: DiskLimit | None = None) -> None:
        self.version = parent.version
        self.folder = parent.folder / f"ember-memory-{os.getpid()}-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.folders = [self.folder]
        try:
            if disk:
                self._limit_disk(disk)
            if self.version == 1:
                self._write("memory.limit_in_bytes", limit)
                self._write("memory.memsw.limit_in_bytes", limit, optional=True)
            else:
                self._write("memory.max", limit)
                self._write("memory.swap.max", 0, optional=True)
        except OSError:
            self._remove()
            raise

    def _limit_disk(self, disk: DiskLimit) -> None:
        if self.version == 2:
            self._write("io.max", f"{disk.device} rbps={disk.rate}")
            return
        folder = ROOT / "blkio" / self.folder.name
        folder.mkdir()
        self.folders.append(folder)
        (folder / "blkio.throttle.read_bps_device").write_text(
            f"{disk.device} {disk.rate}", encoding="ascii")

    def _remove(self) -> None:
        for folder in self.folders[::-1]:
            folder.rmdir()
            self.folders.remove(folder)

    def __enter__(self) -> MemoryGroup:
        return self

    def __exit__(self, *_: object) -> None:
        # The kernel needs a moment after the last process has ended.
        for _attempt in range(50):
            try:
                self._remove()
                return
            except OSError:
                time.sleep(0.1)

    def _write(self, name: str, value: int | str, optional: bool = False) -> None:
        path = self.folder / name
        if optional and not path.exists():
            return
        path.write_text(str(value), encoding="ascii")

    @property
    def processes(self) -> list[Path]:
        """The files that a process writes its id to in order to join."""
        return [folder / "cgroup.procs" for folder in self.folders]

    def held_bytes(self) -> int:
        """What is charged less file pages that the kernel can take back."""
        name, prefix = (
            ("memory.usage_in_bytes", "total_") if self.version == 1 else ("memory.current", ""))
        charged = int((self.folder / name).read_text(encoding="ascii"))
        fields = _fields(self.folder / "memory.stat")
        cache = fields.get(prefix + "inactive_file", 0) + fields.get(prefix + "active_file", 0)
        return max(0, charged - cache)

    def kills(self) -> int:
        """Processes that the kernel killed for want of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return _fields(self.folder / name).get("oom_kill", 0)
