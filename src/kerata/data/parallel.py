"""Workers: threads or processes that compute ahead; results come in the order of the tasks, whoever was faster.

An exception of a worker is raised where its result was due, with the frames that it had in the worker. Workers end with
the reading of their results, also where that is cut off.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kerata import engine, errors, tree

__all__ = ["Workers", "in_order"]

STUCK_SECONDS = 1.0
"""How long a thread is waited for that is to end."""

ORPHAN_SECONDS = 2.0
"""How often a process looks whether the one that started it is still there."""

Start = Callable[[int], Callable[[Any], Any]]


class Workers:
    """Threads or processes, each with tasks of its own: task `i` goes to worker `i % count`.

    Args:
        start: called in each worker with its number; returns the function that does its tasks.
        count: how many workers.
        processes: whether they are processes: forked, where there is a fork, so they have the data as they are now.
        context: the way to start processes, if not that: "fork", "spawn" or "forkserver", or such a context.
        timeout: seconds to wait for a result; 0 for as long as it takes.
    """

    def __init__(
        self, start: Start, count: int, processes: bool = False, context: Any = None, timeout: float = 0
    ) -> None:
        kind: Any = _Thread
        if processes:
            if context is None or isinstance(context, str):
                forks = "fork" in multiprocessing.get_all_start_methods()
                context = multiprocessing.get_context(context or ("fork" if forks else "spawn"))
            kind = functools.partial(_Process, context)
        self._timeout = timeout
        self._workers: list[Any] = []
        try:
            for number in range(count):
                self._workers.append(kind(start, number))
        except BaseException:
            self.close()
            raise

    def results(self, tasks: Iterable[Any], ahead: int, first: int = 0) -> Iterator[Any]:
        """Yield the results of `tasks`, with up to `ahead` of them under way; the first task has number `first`."""
        waiting: collections.deque[Any] = collections.deque()
        count = len(self._workers)
        try:
            for number, task in enumerate(tasks, first):
                self._workers[number % count].send(task)
                waiting.append(self._workers[number % count])
                if len(waiting) >= ahead:
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            for worker in waiting:  # so that nothing is left for who reads next
                worker.discard()

    def _result(self, worker: Any) -> Any:
        try:
            result, error = worker.receive(self._timeout or None)
        except queue.Empty:
            raise TimeoutError(f"a worker made no batch in {self._timeout} seconds") from None
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the workers, whatever they are at."""
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join()
        self._workers = []


def in_order(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int, processes: bool = False, ahead: int = 10
) -> Iterator[Any]:
    """Yield `function(item)` for each item, computed by workers, with up to `ahead` of them under way."""
    pool = Workers(functools.partial(_same, function), workers, processes)
    try:
        yield from pool.results(items, ahead)
    finally:
        pool.close()


def _same(function: Callable[[Any], Any], number: int) -> Callable[[Any], Any]:
    return function


def _serve(start: Start, number: int, tasks: Callable[[], Any], give: Callable[[Any, Any], None]) -> None:
    """Do tasks until there is None in place of one."""
    function: Any = None
    while (task := tasks()) is not None:
        try:
            if function is None:
                function = start(number)
            result, error = function(task[0]), None
        except BaseException as raised:  # a worker ends only when it is told to
            result, error = None, raised
        give(result, error)
        result = error = None  # nothing is kept alive while waiting


class _Worker:
    """What is common to threads and processes: a queue of results on this side."""

    def __init__(self) -> None:
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._unwanted = 0
        self._died: BaseException | None = None

    def receive(self, timeout: float | None) -> tuple[Any, Any]:
        while self._unwanted and self._died is None:
            self._results.get(timeout=timeout)
            self._unwanted -= 1
        if self._died is not None and self._results.empty():
            return None, self._died
        return self._results.get(timeout=timeout)

    def discard(self) -> None:
        """Leave out the next result."""
        self._unwanted += 1


class _Thread(_Worker):
    def __init__(self, start: Start, number: int) -> None:
        super().__init__()
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        active = engine.name()

        def work() -> None:
            with engine.using(active):
                _serve(start, number, self._tasks.get, lambda *result: self._results.put(result))

        self._thread = threading.Thread(target=work, name=f"kerata-worker-{number}", daemon=True)
        self._thread.start()

    def send(self, task: Any) -> None:
        self._tasks.put((task,))

    def stop(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._tasks.get_nowait()
        self._tasks.put(None)

    def join(self) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(STUCK_SECONDS)


class _Process(_Worker):
    def __init__(self, context: Any, start: Start, number: int) -> None:
        super().__init__()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_in_process, args=(start, number, theirs, os.getpid()), name=f"kerata-worker-{number}", daemon=True
        )
        with warnings.catch_warnings():  # about a fork beside JAX's threads: a worker uses no engine
            warnings.filterwarnings("ignore", message=".*fork", category=RuntimeWarning)
            warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
            self._process.start()
        theirs.close()
        # Read at once what is sent, or both sides could wait for the other to read.
        self._reader = threading.Thread(target=self._read, name=f"kerata-worker-{number}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                result, error, frames = pickle.loads(self._pipe.recv_bytes())
            except (EOFError, OSError):
                self._process.join(STUCK_SECONDS)
                died = errors.StateError(
                    "a worker process has died.", where=self._process.name, got=f"exit code {self._process.exitcode}",
                    hint="-9 is often a lack of memory: use fewer workers, or threads",
                )  # fmt: skip
                self._died = died
                self._results.put((None, died))  # to wake who waits
                return
            self._results.put((result, None if error is None else _with_frames(error, frames)))

    def send(self, task: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the death of a process is told where its result is asked for
            self._pipe.send_bytes(pickle.dumps((task,)))

    def stop(self) -> None:
        self._process.terminate()

    def join(self) -> None:
        self._process.join(STUCK_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(STUCK_SECONDS)
        self._reader.join(STUCK_SECONDS)
        self._pipe.close()


def _in_process(start: Start, number: int, pipe: Any, parent: int) -> None:
    """What a worker process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started us, and it ends us

    def tasks() -> Any:
        while not pipe.poll(ORPHAN_SECONDS):
            if os.getppid() != parent:
                return None
        try:
            return pickle.loads(pipe.recv_bytes())
        except EOFError:
            return None

    def give(result: Any, error: BaseException | None) -> None:
        if error is None:
            try:
                message = pickle.dumps((tree.map_structure(_plain, result), None, None), pickle.HIGHEST_PROTOCOL)
            except Exception as raised:
                error = errors.InvalidType(
                    "a batch cannot be sent from one process to another.", where="worker", got=str(raised),
                    hint="return NumPy arrays, or use threads",
                )  # fmt: skip
        if error is not None:
            message = pickle.dumps((None, _portable(error), _frames_of(error)))
        pipe.send_bytes(message)

    with contextlib.suppress(BrokenPipeError):
        _serve(start, number, tasks, give)


def _plain(leaf: Any) -> Any:
    """Return a tensor as a NumPy array, whose bytes travel."""
    return leaf.detach().cpu().numpy() if hasattr(leaf, "detach") else leaf


def _portable(error: BaseException) -> BaseException:
    """Return the exception, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _frames_of(error: BaseException) -> list[tuple[str, int, str]]:
    return [(f.filename, f.lineno or 1, f.name) for f in traceback.extract_tb(error.__traceback__)]


def _with_frames(error: BaseException, frames: list[tuple[str, int, str]]) -> BaseException:
    """Give an exception of another process the traceback that it had there: frames of the same files and lines."""
    rebuilt: types.TracebackType | None = None
    for filename, line, name in reversed(frames):
        code = compile("raise error", filename, "exec").replace(co_name=name, co_firstlineno=line)
        try:
            exec(code, {"error": Exception()})
        except Exception as raised:
            entry: Any = raised.__traceback__.tb_next  # type: ignore[union-attr]
            rebuilt = types.TracebackType(rebuilt, entry.tb_frame, entry.tb_lasti, line)
    return error.with_traceback(rebuilt)
