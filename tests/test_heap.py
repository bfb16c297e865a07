"""Memory that is freed is kept for what comes next: its pages are not asked for again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="concerns glibc's heap alone")

PROGRAM = """
import resource, sys
from kerata.engine.heap import keep_freed_memory
if "keep" in sys.argv:
    keep_freed_memory()
for i in range(8):
    if i == 3:  # by now the heap is as large as it will be
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"1" * (25 << 20) for _ in range(4)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str, **environment: str) -> int:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return int(subprocess.check_output(command, text=True, env={**outside, **environment}))


def test_pages_are_not_asked_for_again():
    assert faults("keep") < 500 < 50_000 < faults()


def test_what_the_environment_says_is_left_alone():
    assert faults("keep", MALLOC_TRIM_THRESHOLD_="1000000") > 50_000


GIVING_BACK = """
from pathlib import Path
from kerata.engine.heap import give_back_freed_memory, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

keep_freed_memory()
blocks = [b"1" * (64 << 10) for _ in range(4096)]
last = b"1" * (64 << 10)  # above them all: what lies below does not go back by itself
del blocks
before = resident()
give_back_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="nothing tells how much memory is resident")
def test_what_was_freed_is_given_back_when_asked():
    assert 200 < int(subprocess.check_output([sys.executable, "-c", GIVING_BACK], text=True)) < 300
