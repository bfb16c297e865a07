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


def numbers(program: str, *arguments: str, **environment: str) -> list[int]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", program, *arguments]
    return [int(x) for x in subprocess.check_output(command, text=True, env={**outside, **environment}).split()]


def faults(*arguments: str, **environment: str) -> int:
    return numbers(PROGRAM, *arguments, **environment)[0]


def test_pages_are_not_asked_for_again():
    assert faults("keep") < 500 < 50_000 < faults()


def test_what_the_environment_says_is_left_alone():
    assert faults("keep", MALLOC_TRIM_THRESHOLD_="1000000") > 50_000


LARGE = """
import resource
from kerata.engine.heap import keep_freed_memory, large_blocks_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"1" * (50 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
with large_blocks_kept():
    if "meanwhile" in "{when}":
        print(faults())
        with large_blocks_kept():  # another run, which ends earlier
            pass
        print(faults())
if "afterwards" in "{when}":
    print(faults(), faults())
"""


@pytest.mark.parametrize("when, again", [("meanwhile", 0), ("afterwards", 12_800)])
def test_large_blocks_are_kept_where_asked_alone(when: str, again: int):
    assert numbers(LARGE.replace("{when}", when)) == pytest.approx([12_800, again], abs=500)


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
    assert 200 < numbers(GIVING_BACK)[0] < 300
