"""`Config`: named values, as attributes and as a dictionary."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from kerata import errors

__all__ = ["Config"]


class Config(MutableMapping[str, Any]):
    """Named values that are read and set as attributes or as items; it can be frozen, and turned into JSON.

    Example:
        >>> config = kerata.utils.Config(learning_rate=0.1)
        >>> config.momentum = 0.9
        >>> config["momentum"], config.to_json()
        (0.9, '{"learning_rate": 0.1, "momentum": 0.9}')
        >>> config.freeze()
    """

    def __init__(self, **kwargs: Any) -> None:
        vars(self).update(_config=kwargs, _frozen=False)

    @property
    def frozen(self) -> bool:
        """Whether values can no longer be set."""
        return self._frozen

    def freeze(self) -> None:
        """Let values no longer be set."""
        vars(self)["_frozen"] = True

    def unfreeze(self) -> None:
        """Let values be set again."""
        vars(self)["_frozen"] = False

    def _values_to_change(self) -> dict[str, Any]:
        if self._frozen:
            raise errors.InvalidArgument("the config is frozen.", where="Config", hint="config.unfreeze()")
        return self._config

    def as_dict(self) -> dict[str, Any]:
        """Return the values in a dictionary of their own."""
        return dict(self._config)

    def to_json(self) -> str:
        """Return the values as JSON."""
        return json.dumps(self._config)

    def pop(self, *args: Any) -> Any:
        """Remove a value and return it; a second argument is returned where there is none of this name."""
        return self._values_to_change().pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set values from dictionaries or keywords."""
        self._values_to_change().update(*args, **kwargs)

    def get(self, keyname: str, value: Any = None) -> Any:
        """Return a value; `value` where there is none of this name."""
        return self._config.get(keyname, value)

    def __getattr__(self, name: str) -> Any:
        config = vars(self).get("_config", {})
        if name not in config:
            hint = errors.did_you_mean(name, list(config)) if config else None
            raise AttributeError(f"this config has no value {name!r}." + (f" {hint}" if hint else ""))
        return config[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            hint = f"config[{name!r}] = …"
            raise errors.InvalidArgument("a method has this name.", where="Config", got=name, hint=hint)
        self._values_to_change()[name] = value

    def __getitem__(self, name: str) -> Any:
        return self._config[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._values_to_change()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values_to_change()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def keys(self) -> Any:
        """Return the names, in the order in which they were set."""
        return self._config.keys()

    def values(self) -> Any:
        """Return the values."""
        return self._config.values()

    def items(self) -> Any:
        """Return pairs of name and value."""
        return self._config.items()

    def __len__(self) -> int:
        return len(self._config)

    def __repr__(self) -> str:
        return f"<Config {self._config}>"
