"""`Function`: the graph between symbolic inputs and outputs, which can be run on real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerata import errors, tree
from kerata.core.symbolic import KerasTensor, Node, Operation

__all__ = ["Function", "sort_graph"]


class Function(Operation):
    """The graph of operations between symbolic `inputs` and `outputs`.

    Args:
        inputs: a symbolic tensor or a nest of them; a call takes the same structure.
        outputs: a symbolic tensor or a nest of them, computed from `inputs`.

    Example:
        >>> x = kerata.KerasTensor((None, 3))
        >>> f = kerata.Function(x, kerata.ops.relu(x) + 1)
        >>> f(numpy.ones((2, 3))).tolist()
        [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name)
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self.inputs: list[KerasTensor] = tree.flatten(inputs)
        self.outputs: list[KerasTensor] = tree.flatten(outputs)
        for kind, tensors in (("input", self.inputs), ("output", self.outputs)):
            for t in tensors:
                if not isinstance(t, KerasTensor):
                    raise errors.InvalidType(
                        f"an {kind} of a functional model is a symbolic tensor.", where=f"model {self.name!r}",
                        expected="kerata.Input(...) or the result of layers called on one", got=repr(t)[:80],
                        hint="did a function or a `call` forget to return?" if t is None else
                        "call the layer on a tensor: outputs = layer(inputs)",
                    )  # fmt: skip
        self.nodes, self.operations = sort_graph(self.inputs, self.outputs)

    def call(self, inputs: Any) -> Any:
        """Run the graph."""
        return self.run(inputs, lambda operation: operation)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs, by abstract evaluation of the graph."""
        return super().compute_output_spec(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the outputs for the shape of the inputs."""
        shapes = tree.flatten(tree.map_shape_structure(lambda shape: KerasTensor(shape), input_shape))
        inputs = [KerasTensor(x.shape, symbol.dtype) for x, symbol in zip(shapes, self.inputs)]
        outputs = self.compute_output_spec(tree.pack_sequence_as(self._inputs_struct, inputs))
        return tree.map_structure(lambda x: x.shape, outputs)

    def run(self, inputs: Any, operation_fn: Callable[[Operation], Callable[..., Any]]) -> Any:
        """Run the graph with `operation_fn(operation)` in the place of each operation."""
        values: dict[int, Any] = {id(t): v for t, v in zip(self.inputs, self.match(inputs))}

        def fill(x: Any) -> Any:
            return values[id(x)] if isinstance(x, KerasTensor) else x

        for node in self.nodes:
            args, kwargs = tree.map_structure(fill, (node.args, node.kwargs))
            outputs = operation_fn(node.operation)(*args, **kwargs)
            for symbol, value in zip(node.outputs, tree.flatten(outputs)):
                values[id(symbol)] = value
        return tree.map_structure(fill, self._outputs_struct)

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in the order of `self.inputs`."""
        return [_input_name(t) for t in self.inputs]

    def match(self, inputs: Any) -> list[Any]:
        """Return the values of `inputs` in the order of `self.inputs`."""
        if isinstance(inputs, dict) and not isinstance(self._inputs_struct, dict):
            names = self.input_names
            missing = [n for n in names if n not in inputs]
            if missing:
                raise _missing_input(self.name, missing[0], names, inputs)
            return [inputs[n] for n in names]
        if isinstance(self._inputs_struct, dict) and isinstance(inputs, dict):
            if missing := [k for k in self._inputs_struct if k not in inputs]:
                raise _missing_input(self.name, missing[0], list(self._inputs_struct), inputs)
            inputs = {k: inputs[k] for k in self._inputs_struct}
        flat = tree.flatten(inputs)
        if len(flat) != len(self.inputs):
            raise errors.InvalidArgument(
                "the number of inputs is wrong.", where=f"model {self.name!r}",
                expected=f"{len(self.inputs)}: {', '.join(f'{_input_name(t)} {t.shape}' for t in self.inputs)}",
                got=f"{len(flat)}: {', '.join(str(getattr(x, 'shape', x)) for x in flat)}",
                hint="give a list in this order, or a dict by these names" if len(self.inputs) > 1 else
                "give one array, not a list of its rows: numpy.array(x)",
            )  # fmt: skip
        return flat


def _missing_input(model: str, missing: Any, names: list[Any], inputs: dict[Any, Any]) -> errors.KerataError:
    further = [name for name in inputs if name not in names]
    hint = f"{further[0]!r} is no input: {errors.did_you_mean(str(further[0]), names)}" if further else None
    return errors.InvalidArgument(
        f"the dict lacks the input {missing!r}.", where=f"model {model!r}", expected=names, got=list(inputs),
        hint=hint or "give an array for each input",
    )  # fmt: skip


def _input_name(tensor: KerasTensor) -> str:
    return tensor._history.operation.name if tensor._history else tensor.name


def sort_graph(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> tuple[list[Node], list[Operation]]:
    """Return the nodes between `inputs` and `outputs` in an order in which they can run, and their operations.

    Operations come by their distance from the outputs, the farthest first, as Keras lists a model's layers.

    Raises:
        InvalidArgument: when an output does not follow from the inputs.
    """
    stops = {id(t) for t in inputs}
    finished: list[Node] = []
    seen: set[int] = set()
    visit_order: dict[Operation, int] = {}

    def node_of(t: KerasTensor) -> Node | None:
        return t._history.operation._inbound_nodes[t._history.node_index] if t._history else None

    for output in outputs:
        start = node_of(output)
        stack: list[tuple[Node, int]] = []  # an explicit stack: a deep model is no deep recursion
        if start is not None and id(output) not in stops and id(start) not in seen:
            seen.add(id(start))
            visit_order.setdefault(start.operation, len(visit_order))
            stack.append((start, 0))
        while stack:
            node, i = stack.pop()
            if i == len(node.inputs):
                finished.append(node)
                continue
            stack.append((node, i + 1))
            tensor = node.inputs[i]
            if id(tensor) in stops:
                continue
            parent = node_of(tensor)
            if parent is None or not parent.inputs:
                raise errors.InvalidArgument(
                    "an output does not follow from the given inputs.",
                    where=f"input of {node.operation.name!r}", expected=f"inputs {[_input_name(t) for t in inputs]}",
                    got=f"it also needs {_input_name(tensor)!r} of shape {tensor.shape}",
                    hint="list every Input that the outputs need",
                )  # fmt: skip
            if id(parent) not in seen:
                seen.add(id(parent))
                visit_order.setdefault(parent.operation, len(visit_order))
                stack.append((parent, 0))

    # Walking back from the outputs, every node is at least one farther than the nodes that use it.
    node_depth: dict[int, int] = {}
    operation_depth: dict[Operation, int] = {}
    for node in reversed(finished):
        depth = max(node_depth.get(id(node), 0), operation_depth.get(node.operation, 0))
        node_depth[id(node)] = operation_depth[node.operation] = depth
        for tensor in node.inputs:
            parent = node_of(tensor)
            if parent is not None:
                node_depth[id(parent)] = max(node_depth.get(id(parent), 0), depth + 1)
    for tensor in inputs:
        if tensor._history is not None and tensor._history.operation not in operation_depth:
            parent = node_of(tensor)
            operation_depth[tensor._history.operation] = max(node_depth.get(id(parent), 0), 0)
            visit_order.setdefault(tensor._history.operation, -1)
    operations = sorted(operation_depth, key=lambda op: (-operation_depth[op], visit_order.get(op, 0)))
    return finished, operations
