"""A worker's process: how it starts, what it finds in its environment, and how it is asked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender

__all__ = ["Failed", "Process", "environment"]

ROOT = Path(__file__).parent.parent

# What the caller's shell holds of these must not decide who is fast; every process gets the same instead.
DROPPED = ("CUDA_", "GOMP_", "JAX_", "KERAS_", "KERATA_", "KMP_", "MKL_", "OMP_", "PYTHONDONT", "TF_", "TORCH", "XLA_")
SAME = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
DEVICES = {
    "cpu": {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"},
    # Every contender's process stays from turn to turn: none may take the whole memory of the GPU.
    "gpu": {"CUDA_VISIBLE_DEVICES": "0", "JAX_PLATFORMS": "cuda,cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
}


class Failed(Exception):
    """A contender could not do its work."""


def environment(contender: Contender, folder: Path, device: str) -> dict[str, str]:
    """Return the environment of `contender`: the caller's and what is the same for all; its own row comes last."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    folders = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "KERAS_HOME": str(folder / "keras"),
        "KERATA_HOME": str(folder / "kerata"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
    }
    return {**kept, **SAME, **DEVICES[device], **folders, **contender.environment}


class Process:
    """A worker (see `worker.py`), asked one thing at a time; each answer must come within `limit` seconds."""

    def __init__(self, contender: Contender, folder: Path, limit: float, device: str = "cpu"):
        self.limit = limit
        self.log = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contender.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
            env=environment(contender, folder, device),
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        watchdog = threading.Timer(self.limit, self.process.kill)
        watchdog.start()
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        answer = json.loads(line) if line else {"error": self.last_words()}
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def last_words(self) -> str:
        status = self.process.wait()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return f"the process ended with status {status}" + (f": {lines[-1].strip()}" if lines else "")

    def close(self) -> None:
        """End the worker: the end of its stdin is the end of its work."""
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):  # it died with a request unread
                if pipe:
                    pipe.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
