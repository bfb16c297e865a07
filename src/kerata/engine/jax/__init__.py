"""The JAX engine: compiled by XLA for CPU, GPU and TPU. The default."""

import os

import jax

from kerata import config
from kerata.engine.heap import give_back_freed_memory, keep_freed_memory
from kerata.engine.jax import arrays, devices, nn, random, transforms
from kerata.engine.jax.fast_ways import fast_ways as fast_ways

name = "jax"


def _remember_compiled_programs() -> None:
    """Keep what XLA compiles in the user's cache folder, so that the next run starts at once."""
    if not config.settings.compilation_cache or jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    folder = config.cache_dir() / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)  # a compiled program is code: nobody else may write there
    except OSError:
        return
    if os.stat(folder).st_uid != os.getuid():
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _after_event(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if event.endswith("/backend_compile_duration") and duration_secs > 1:  # less leaves little
        give_back_freed_memory()


_remember_compiled_programs()
keep_freed_memory()
jax.monitoring.register_event_duration_secs_listener(_after_event)
