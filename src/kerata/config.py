"""Settings of the whole process: read once from the environment and the user's file, changed by calls.

The file is `kerata.json` in the user's folder (`$KERATA_HOME`, or `~/.kerata`), an object with any of the names of
`Settings`. The environment wins over the file, a call wins over both. No engine is loaded here.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from kerata import errors

__all__ = [
    "backend", "cache_dir", "data_dir", "disable_flash_attention", "disable_interactive_logging",
    "disable_traceback_filtering", "dtype_policy", "enable_flash_attention", "enable_interactive_logging",
    "enable_traceback_filtering", "enable_unsafe_deserialization", "engine", "epsilon", "floatx", "home",
    "image_data_format", "is_flash_attention_enabled", "is_interactive_logging_enabled", "is_nnx_enabled",
    "is_traceback_filtering_enabled", "max_epochs", "max_steps_per_epoch", "set_backend", "set_dtype_policy",
    "set_engine", "set_epsilon", "set_floatx", "set_image_data_format", "set_max_epochs", "set_max_steps_per_epoch",
    "using_engine",
]  # fmt: skip

ENGINES = ("jax", "numpy", "torch")


@dataclasses.dataclass
class Settings:
    engine: str = "jax"
    floatx: str = "float32"
    epsilon: float = 1e-7
    image_data_format: str = "channels_last"
    dtype_policy: str | None = None
    compilation_cache: bool = True
    interactive_logging: bool = True
    flash_attention: bool | None = None
    max_epochs: int | None = None
    max_steps_per_epoch: int | None = None


def home() -> Path:
    """Return the user's kerata folder: `$KERATA_HOME`, or `~/.kerata`."""
    return Path(os.environ.get("KERATA_HOME") or Path.home() / ".kerata").expanduser()


def data_dir() -> Path:
    """Return the folder of downloaded data sets."""
    return home() / "datasets"


def cache_dir() -> Path:
    """Return the folder of compiled programs: `$KERATA_CACHE`, or `kerata` in the user's cache folder."""
    if chosen := os.environ.get("KERATA_CACHE"):
        return Path(chosen).expanduser()
    if os.environ.get("KERATA_HOME"):
        return home() / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kerata"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "kerata"


def _engine_for_backend(backend: str | None) -> str | None:
    """Return the engine that stands for a Keras backend: its namesake, or JAX, with a warning."""
    if not backend or backend in ENGINES:
        return backend
    errors.warn_once(f"KERAS_BACKEND={backend}: kerata has no such engine; it computes with JAX.")
    return "jax"


def _read() -> Settings:
    file = home() / "kerata.json"
    try:
        values = json.loads(file.read_text()) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise errors.CorruptFile("the configuration file cannot be read.", where=str(file), got=error) from None
    known = {field.name for field in dataclasses.fields(Settings)}
    if "backend" in values:
        values.setdefault("engine", values.pop("backend"))
    for name in values:
        if name not in known:
            raise errors.UnknownName("setting", name, known, where=str(file))
    environment = {
        "engine": os.environ.get("KERATA_ENGINE") or _engine_for_backend(os.environ.get("KERAS_BACKEND")),
        "floatx": os.environ.get("KERATA_FLOATX"),
        "compilation_cache": os.environ.get("KERATA_COMPILATION_CACHE"),
        "max_epochs": os.environ.get("KERATA_MAX_EPOCHS") or os.environ.get("KERAS_MAX_EPOCHS"),
        "max_steps_per_epoch": os.environ.get("KERATA_MAX_STEPS_PER_EPOCH")
        or os.environ.get("KERAS_MAX_STEPS_PER_EPOCH"),
    }
    values.update({name: value for name, value in environment.items() if value})
    for name in ("max_epochs", "max_steps_per_epoch"):
        if values.get(name) is not None:
            values[name] = int(values[name])
    if isinstance(values.get("compilation_cache"), str):
        values["compilation_cache"] = values["compilation_cache"].lower() not in ("0", "false", "off", "no")
    return Settings(**values)


settings = _read()


# Engine ---------------------------------------------------------------------------------------------------------


def engine() -> str:
    """Return the name of the engine in use: "jax", "numpy" or "torch"."""
    from kerata import engine as engines

    return engines.name()


def set_engine(name: str) -> None:
    """Use the engine called `name` from now on."""
    from kerata import engine as engines

    engines.use(name)


def using_engine(name: str) -> Any:
    """Return a context manager in which the engine called `name` is used.

    Example:
        >>> with kerata.config.using_engine("numpy"):
        ...     kerata.config.engine()
        'numpy'
    """
    from kerata import engine as engines

    return engines.using(name)


def backend() -> str:
    """Return the name of the engine in use (Keras's word for it)."""
    return engine()


def set_backend(backend: str) -> None:
    """Use the engine called `backend` (Keras's word for it)."""
    set_engine(backend)


# Numbers --------------------------------------------------------------------------------------------------------


def floatx() -> str:
    """Return the default float dtype, "float32" unless set."""
    return settings.floatx


def set_floatx(value: str) -> None:
    """Set the default float dtype: "bfloat16", "float16", "float32" or "float64"."""
    settings.floatx = _one_of("floatx", value, ("bfloat16", "float16", "float32", "float64"))


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite."""
    return settings.epsilon


def set_epsilon(value: float) -> None:
    """Set the value that `epsilon()` returns."""
    settings.epsilon = float(value)


def image_data_format() -> str:
    """Return the default order of image axes: "channels_last" or "channels_first"."""
    return settings.image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set the default order of image axes."""
    settings.image_data_format = _one_of("data_format", data_format, ("channels_last", "channels_first"))


def standardize_data_format(data_format: str | None) -> str:
    """Return `data_format`, or the default where it is None."""
    if data_format is None:
        return settings.image_data_format
    return _one_of("data_format", data_format.lower(), ("channels_last", "channels_first"))


def dtype_policy() -> Any:
    """Return the dtype policy that layers take where none is given."""
    from kerata.core import dtype_policies

    return dtype_policies.get(settings.dtype_policy or settings.floatx)


def set_dtype_policy(policy: Any) -> None:
    """Set the default dtype policy, such as "mixed_bfloat16"."""
    from kerata.core import dtype_policies

    settings.dtype_policy = dtype_policies.get(policy).name


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise errors.InvalidArgument(f"`{what}` is not one of the known values.", expected=allowed, got=repr(value))
    return value


# Behaviour ------------------------------------------------------------------------------------------------------


def enable_traceback_filtering() -> None:
    """Hide the framework's own frames from tracebacks (the default)."""
    errors.show_internal_frames(False)


def disable_traceback_filtering() -> None:
    """Show the framework's own frames in tracebacks."""
    errors.show_internal_frames(True)


def is_traceback_filtering_enabled() -> bool:
    """Return whether tracebacks are free of the framework's own frames."""
    return not errors.show_internal_frames()


def enable_interactive_logging() -> None:
    """Show progress while training (the default)."""
    settings.interactive_logging = True


def disable_interactive_logging() -> None:
    """Print no progress bars; messages go to the logger."""
    settings.interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    """Return whether progress is shown."""
    return settings.interactive_logging


def enable_flash_attention() -> None:
    """Use the engine's flash attention where it has one."""
    settings.flash_attention = True


def disable_flash_attention() -> None:
    """Compute attention by its plain formula."""
    settings.flash_attention = False


def is_flash_attention_enabled() -> bool | None:
    """Return the setting of flash attention; None leaves the choice to the engine."""
    return settings.flash_attention


def is_nnx_enabled() -> bool:
    """Return False: Variables are kerata's own and no Flax NNX objects."""
    return False


def enable_unsafe_deserialization() -> None:
    """Refuse: files are data, and nothing makes kerata run code out of one."""
    raise errors.Unsupported(
        "there is no unsafe loading: no file can make kerata run code.",
        hint="give the code yourself: load_model(path, custom_objects={name: function or class})",
    )


def max_epochs() -> int | None:
    """Return the most epochs that any `fit` may run, or None."""
    return settings.max_epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit every `fit` to `max_epochs` epochs."""
    settings.max_epochs = max_epochs


def max_steps_per_epoch() -> int | None:
    """Return the most steps that any epoch may take, or None."""
    return settings.max_steps_per_epoch


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit every epoch to `max_steps_per_epoch` steps."""
    settings.max_steps_per_epoch = max_steps_per_epoch
