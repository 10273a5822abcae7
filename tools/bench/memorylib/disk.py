"""The file in the page cache, and how fast it can be read past it."""
from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

READ_BYTES = 4 << 20
READERS = 4


def drop_cache(path: Path) -> None:
    """Removes a file from the page cache; as root, everything else as well."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
    except OSError:
        pass
    left = cached_bytes(path)
    if left > path.stat().st_size // 50:
        raise SystemExit(
            f"{path}: expected it to leave the page cache, found {left / 1e6:.0f} MB of it there:"
            " does another program use it?")


def cached_bytes(path: Path) -> int:
    """How much of a file is in the page cache."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    resident = ctypes.create_string_buffer(pages)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        address = library.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    finally:
        os.close(descriptor)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap failed", str(path))
    try:
        if library.mincore(address, size, resident):
            raise OSError(ctypes.get_errno(), "mincore failed", str(path))
    finally:
        library.munmap(address, size)
    return sum(byte & 1 for byte in resident.raw) * mmap.PAGESIZE


def bandwidth(path: Path, seconds: float) -> float:
    """Bytes/s of reading a file from front to back past the page cache, several reads at once.

    The processors are kept from sleeping meanwhile, as they are when a model computes: a virtual
    machine's disk was measured at 0.6 to 0.9 GB/s with idle processors, 0.9 to 1.4 with busy.
    """
    whole = path.stat().st_size // READ_BYTES * READ_BYTES
    if not whole:
        raise SystemExit(f"{path}: expected {READ_BYTES} bytes or more, found less")
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    lock = threading.Lock()
    place = 0
    done = 0
    errors: list[OSError] = []
    spinning = [
        subprocess.Popen(
            ["nice", "-n", "19", sys.executable, "-c", "while True: pass"],
            stdin=subprocess.DEVNULL)
        for _ in os.sched_getaffinity(0)]
    start = time.perf_counter()

    def read() -> None:
        nonlocal place, done
        # A mapping begins at a page, as O_DIRECT needs it.
        with mmap.mmap(-1, READ_BYTES) as buffer:
            while time.perf_counter() - start < seconds:
                with lock:
                    mine, place = place, (place + READ_BYTES) % whole
                try:
                    count = os.preadv(descriptor, [buffer], mine)
                except OSError as error:
                    errors.append(error)
                    return
                with lock:
                    done += count

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    try:
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        taken = time.perf_counter() - start
    finally:
        os.close(descriptor)
        for process in spinning:
            process.kill()
            process.wait()
    if errors:
        raise errors[0]
    return done / taken
