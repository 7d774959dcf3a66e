"""Clocks that a test can set, of processes that it starts: of Python's, and of a server's."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

_PYTHON = """
import mmap, os, struct, time
_now = time.time
with open(os.environ["CLOCK_SHIFT"], "rb") as _file:
    _shift = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
time.time = lambda: _now() + struct.unpack("q", _shift)[0]
"""
_C = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
static volatile long *shift;
static int (*real)(struct timeval *, void *);
__attribute__((constructor)) static void begin(void) {
  int file = open(getenv("CLOCK_SHIFT"), O_RDONLY);
  shift = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
  real = dlsym(RTLD_NEXT, "gettimeofday");
}
int gettimeofday(struct timeval *now, void *zone) {
  int failed = real(now, zone);
  now->tv_sec += *shift;
  return failed;
}
"""


class ShiftedClock:
    """How far the clocks of some processes are off; may be set while they run.

    Args:
        directory: for the file by which they know it, and for what makes them read it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self._file = directory, directory / "shift"
        self._file.write_bytes(struct.pack("q", 0))

    def set(self, seconds: int) -> None:
        """From now on they are so many seconds ahead."""
        file = os.open(self._file, os.O_WRONLY)
        try:
            # One write of eight bytes: nobody reads half of it.
            os.pwrite(file, struct.pack("q", seconds), 0)
        finally:
            os.close(file)

    def of_python(self, *path: Path) -> dict[str, str]:
        """The environment of a Python process with this clock; `path` is its PYTHONPATH."""
        (self.directory / "sitecustomize.py").write_text(_PYTHON)
        places = os.pathsep.join(map(str, (self.directory, *path)))
        return {"CLOCK_SHIFT": str(self._file), "PYTHONPATH": places}

    def of_a_server(self) -> dict[str, str] | None:
        """The environment of a server with this clock; None without a C compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            return None
        source, library = self.directory / "clock.c", self.directory / "clock.so"
        source.write_text(_C)
        words = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run(words, check=True, timeout=60)
        return {**os.environ, "CLOCK_SHIFT": str(self._file), "LD_PRELOAD": str(library)}
