"""A module of PyTorch as a layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kerata import engine, errors, tree
from kerata.core import registry
from kerata.core.symbolic import KerasTensor
from kerata.core.variable import Variable
from kerata.layers.base import Layer

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["TorchModuleWrapper"]


def torch_modules(where: str) -> ModuleType:
    """Return what the torch engine knows of modules; refuse on another engine."""
    if engine.name() != "torch":
        raise errors.Unsupported(
            "modules of PyTorch are computed by the torch engine.", where=where, expected="the torch engine",
            got=f"the {engine.name()} engine", hint="kerata.config.set_engine('torch'), or KERATA_ENGINE=torch",
        )  # fmt: skip
    from kerata.engine.torch import modules

    return modules


class TorchModuleWrapper(Layer):
    """A `torch.nn.Module` as a layer, on the torch engine.

    The module's parameters are the layer's weights, and stay what they are: `fit` trains the module, and a PyTorch
    optimizer trains the layer. Parameters with `requires_grad` are trainable; buffers, such as the running means of a
    batch normalization, are weights that are not, and follow what the module makes of them. While training the module
    is called in train mode, in `evaluate` and `predict` in eval mode, and otherwise in the mode in which it is.

    A `.keras` file holds the module pickled. PyTorch's own modules are made from it as they are; classes of yours
    must be registered or be named in `custom_objects`, for no file can make kerata run code.

    Args:
        module: a `torch.nn.Module`; a lazy one must have been called once.
        output_shape: the shape of the outputs with the batch, where it cannot be worked out by running the module
            without values.

    Raises:
        Unsupported: on another engine.

    Example:
        >>> import torch
        >>> with kerata.config.using_engine("torch"):
        ...     layer = kerata.layers.TorchModuleWrapper(torch.nn.Linear(3, 2))
        ...     model = kerata.Sequential([kerata.Input((3,)), layer, kerata.layers.Softmax()])
        >>> model.output_shape, len(model.trainable_weights)
        ((None, 2), 2)
    """

    own_layout = True  # in files: what `state_dict` has, by its names

    def __init__(self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        modules = torch_modules(f"layer {self.name!r} (TorchModuleWrapper)")
        slots = modules.slots(module)
        self.module = module
        self.output_shape = None if output_shape is None else tuple(output_shape)
        self._by_name = {key: self._weight(key, slot) for key, slot in slots.items()}
        self.built = True
        if not self._trainable:
            self.trainable = False
        vars(self._captured).pop("module", None)  # `get_config` pickles it

    def _weight(self, name: str, slot: Any) -> Variable:
        trainable = slot.trainable
        variable = Variable(
            slot.get(), trainable=bool(trainable), autocast=trainable is not None, name=name.replace("/", "_")
        )
        variable.path = f"{self.name}/{variable.name}"
        variable.made_trainable = trainable is not None  # a frozen parameter can be set free
        variable.keep_in(slot)
        return variable

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Return the module's parameters, as PyTorch has them."""
        return self.module.parameters(recurse=recurse)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        values = {name: variable.value for name, variable in self._by_name.items()}
        buffers = {name for name, variable in self._by_name.items() if not variable.made_trainable}
        modules = torch_modules(self._where())
        outputs, changed = modules.run(self.module, values, buffers, training, args, kwargs)
        if training is not False:
            for name, value in changed.items():
                self._by_name[name].assign_unchecked(engine.transforms.stop_gradient(value))
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs: of the shape that was given, or by running the module without values."""
        if self.output_shape is None:
            return super().compute_output_spec(*args, **kwargs)
        dtype = next((x.dtype for x in tree.flatten(args) if isinstance(x, KerasTensor)), self.compute_dtype)
        return KerasTensor(self.output_shape, dtype if "float" in dtype else self.compute_dtype)

    def save_own_variables(self, store: Any) -> None:
        """Put the arrays of the module's `state_dict` into `store`, by their names there."""
        store.update(torch_modules(self._where()).state(self.module))

    def load_own_variables(self, store: Any) -> None:
        """Set the module's tensors from what `save_own_variables` stored."""
        torch_modules(self._where()).set_state(self.module, {name: store[name] for name in store})

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this layer anew; the module is pickled."""
        pickled = torch_modules(self._where()).save(self.module)
        return {**super().get_config(), "module": pickled, "output_shape": self.output_shape}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None, safe_mode: bool | None = None
    ) -> Any:
        """Make a layer from its config.

        Args:
            config: what `get_config` returned.
            custom_objects: classes of modules by name, beside those that are registered.
            safe_mode: False unpickles whatever the config holds, which runs code of whoever wrote it.

        Raises:
            Unsupported: for a module of a class that is neither PyTorch's own nor registered.
        """
        config = dict(config)
        if isinstance(pickled := config.get("module"), str):
            known = {**registry.get_custom_objects(), **(custom_objects or {})}
            modules = torch_modules("TorchModuleWrapper.from_config")
            config["module"] = modules.load(pickled, known.values(), trusted=safe_mode is False)
        return super().from_config(config)
