"""Seeds: every random draw takes a key, and a `SeedGenerator` gives a new key at each call."""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np

from kerata import engine, errors
from kerata.core import scopes
from kerata.core.scopes import around
from kerata.core.tracking import Stateful
from kerata.core.variable import Variable

__all__ = ["SeedGenerator", "draw_key", "make_seed", "set_random_seed"]

_process_seed: list[python_random.Random] = [python_random.Random()]


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy, PyTorch where it is used, and kerata: a program gives the same numbers each time it runs.

    Example:
        >>> kerata.utils.set_random_seed(42)
    """
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise errors.InvalidArgument("a seed is an int from 0 to 2**32 - 1.", where="set_random_seed", got=seed)
    python_random.seed(seed)
    np.random.seed(seed)
    engine.seed(int(seed))
    _process_seed[0] = python_random.Random(seed)
    global _global
    _global = None


def make_seed() -> int:
    """Return a new seed: fresh from the system, or the next one after `set_random_seed`."""
    return _process_seed[0].randint(0, 2**31 - 1)


class SeedGenerator(Stateful):
    """Gives a new key at each call; its state is a Variable, so compiled functions draw anew each time.

    Args:
        seed: an int, or None for a fresh one.

    Example:
        >>> generator = kerata.random.SeedGenerator(7)
        >>> a = kerata.random.normal((2,), seed=generator)
        >>> b = kerata.random.normal((2,), seed=generator)  # other numbers
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise errors.InvalidType("unknown arguments.", where="SeedGenerator", got=sorted(kwargs))
        if seed is None:
            seed = make_seed()
        if not isinstance(seed, (int, np.integer)):
            raise errors.InvalidArgument("a seed is an int or None.", where="SeedGenerator", got=repr(seed))
        self.seed = int(seed)
        self.name = name or scopes.auto_name("seed_generator")
        with scopes.name_scope(self.name):
            self.state = Variable(
                np.array([self.seed % 2**32, 0], "uint32"), dtype="uint32", trainable=False, name="seed_generator_state"
            )

    def next(self, ordered: bool = True) -> Any:
        """Return a key, uint32 (2,): the seed and how many keys came before."""
        key = self.state.raw_value()
        self.state.assign_unchecked(engine.xp.add(key, engine.arrays.as_array(np.array([0, 1], "uint32"))))
        return key

    def save_own_variables(self, store: Any) -> None:
        """Put the state into `store`, so that a run that is saved goes on with the numbers it would have drawn."""
        store["0"] = self.state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Set the state from what `save_own_variables` stored."""
        self.state.assign(store["0"])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this generator anew."""
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """Make a generator from its config."""
        return cls(**config)


_global: SeedGenerator | None = None


def global_generator() -> SeedGenerator:
    """Return the generator that draws without a seed use."""
    global _global
    if _global is None:
        state, around.state = around.state, None  # it outlives any transform that happens to be traced now
        try:
            _global = SeedGenerator(make_seed(), name="global_seed_generator")
        finally:
            around.state = state
    return _global


def draw_key(seed: Any) -> Any:
    """Return a key from a seed: an int gives the same key each time, a SeedGenerator and None a new one."""
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if seed is None:
        return global_generator().next()
    if isinstance(seed, (int, np.integer)):
        return engine.arrays.as_array(np.array([int(seed) % 2**32, 0], "uint32"))
    if getattr(seed, "shape", None) == (2,):
        return engine.arrays.cast(seed, "uint32")
    raise errors.InvalidArgument(
        "this is no seed.", where="kerata.random", expected="an int, a SeedGenerator or None", got=repr(seed)
    )
