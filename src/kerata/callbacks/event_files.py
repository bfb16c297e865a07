"""What TensorBoard reads: event files, written with its own classes, and the graph of a model in its words."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np

from kerata.core.packages import package

__all__ = ["EventFile", "as_images", "graph_def", "write_projector"]

BUCKETS = 30
IMAGES = 3
"""So many buckets has a histogram, and so many images are written at most: TensorFlow's own defaults."""


def _tensorboard(module: str) -> Any:
    return package(f"tensorboard.{module}", "TensorBoard")


class EventFile:
    """A file of numbers, histograms, images and texts, each with a name and a step.

    Args:
        folder: TensorBoard shows each folder as one run.

    Example:
        >>> events = kerata.callbacks.TensorBoard("logs").summary
        >>> events.scalar("temperature", 36.6, step=0)
        >>> events.close()
    """

    def __init__(self, folder: Any) -> None:
        self._events = _tensorboard("compat.proto.event_pb2")
        self._summaries = _tensorboard("compat.proto.summary_pb2")
        self._tensors = _tensorboard("util.tensor_util")
        self._writer = _tensorboard("summary.writer.event_file_writer").EventFileWriter(str(folder))

    def scalar(self, name: str, data: Any, step: int) -> None:
        """Write a number."""
        self._write("scalar", name, np.float32(data), step)

    def histogram(self, name: str, data: Any, step: int) -> None:
        """Write how the values of an array are spread; what is not finite is left out."""
        values = np.asarray(data)
        values = values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64).ravel()
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        if low < high:
            counts, edges = np.histogram(values, BUCKETS, (low, high))
        else:  # the last bucket holds them all
            counts, edges = np.eye(BUCKETS)[-1] * values.size, np.full(BUCKETS + 1, low)
        self._write("histogram", name, np.stack([edges[:-1], edges[1:], counts], axis=1).astype(np.float64), step)

    def image(self, name: str, data: Any, step: int) -> None:
        """Write the first images of an array (N, H, W, C): bytes, or floats between 0 and 1."""
        images = np.asarray(data)
        if images.dtype != np.uint8:
            images = (np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)
        _, height, width, _ = images.shape
        files = [_png(image) for image in images[:IMAGES]]
        strings = np.array([str(width).encode(), str(height).encode(), *files], dtype=object)
        self._write("image", name, strings, step)

    def text(self, name: str, data: str, step: int) -> None:
        """Write a text in Markdown."""
        self._write("text", name, np.array(data.encode(), dtype=object), step)

    def keras_model(self, name: str, json: str) -> None:
        """Write a model as Keras's JSON: TensorBoard's conceptual graph."""
        plugin = self._summaries.SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1")
        metadata = self._summaries.SummaryMetadata(plugin_data=plugin)
        self._add(name, np.array(json.encode(), dtype=object), 0, metadata)

    def graph(self, graph: Any) -> None:
        """Write a `GraphDef`."""
        self._writer.add_event(self._events.Event(wall_time=time.time(), graph_def=graph.SerializeToString()))

    def flush(self) -> None:
        """Bring all to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, plugin: str, name: str, values: Any, step: int) -> None:
        metadata = _tensorboard(f"plugins.{plugin}.metadata").create_summary_metadata
        self._add(name, values, step, metadata(display_name=None, description=None))

    def _add(self, name: str, values: Any, step: int, metadata: Any) -> None:
        value = self._summaries.Summary.Value(
            tag=name, metadata=metadata, tensor=self._tensors.make_tensor_proto(values)
        )
        summary = self._summaries.Summary(value=[value])
        self._writer.add_event(self._events.Event(wall_time=time.time(), step=int(step), summary=summary))


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    image = image[..., 0] if image.shape[-1] == 1 else image
    package("PIL.Image", "TensorBoard", "pillow").fromarray(image).save(file, "png")
    return file.getvalue()


def as_images(weight: np.ndarray) -> np.ndarray | None:
    """Return a weight as images (N, H, W, C) from its least value in black to its greatest; None where it is none.

    A bias is a row of pixels, a matrix lies on its longer side, a stack of matrices is several images, and filters
    over 1, 3 or 4 channels are pictures themselves.
    """
    weight = np.squeeze(np.asarray(weight, np.float32))
    if weight.ndim == 1:
        weight = weight[None, None, :, None]
    elif weight.ndim == 2:
        weight = (weight.T if weight.shape[0] > weight.shape[1] else weight)[None, :, :, None]
    elif weight.ndim == 3:
        weight = np.moveaxis(weight, -1, 0)[..., None]
    elif weight.ndim == 4 and weight.shape[2] in (1, 3, 4):
        weight = np.moveaxis(weight, -1, 0)
    else:
        return None
    low, high = weight.min(), weight.max()
    return (weight - low) / (high - low) if high > low else np.zeros_like(weight)


def graph_def(model: Any) -> Any:
    """Return the graph of a functional model as a `GraphDef`; models within the model are scopes of names."""
    graphs = _tensorboard("compat.proto.graph_pb2")
    found = graphs.GraphDef()

    def add(path: str, kind: str, inputs: list[str], tensors: list[Any]) -> list[str]:
        """Add one node and return the names of its outputs."""
        calls = sum(n.name == path or n.name.startswith(f"{path}_call_") for n in found.node)
        node = found.node.add(name=f"{path}_call_{calls}" if calls else path, op=kind, input=inputs)
        for tensor in tensors:
            shape = node.attr["_output_shapes"].list.shape.add()
            for size in tensor.shape:
                shape.dim.add(size=-1 if size is None else size)
        return [f"{node.name}:{i}" if i else node.name for i in range(len(tensors))]

    def expand(graph: Any, scope: str, given: list[str]) -> list[str]:
        names = {id(tensor): name for tensor, name in zip(graph.inputs, given)}
        for node in graph.nodes:
            if not node.inputs:  # an input, which has its name
                continue
            operation, inputs = node.operation, [names[id(tensor)] for tensor in node.inputs]
            path = scope + operation.name
            if getattr(operation, "_graph", None) is not None:
                outputs = expand(operation._graph, f"{path}/", inputs)
            else:
                outputs = add(path, type(operation).__name__, inputs, node.outputs)
            names.update({id(tensor): name for tensor, name in zip(node.outputs, outputs)})
        return [names[id(tensor)] for tensor in graph.outputs]

    inputs = model._graph.inputs
    named = [t._history.operation.name if t._history is not None else t.name for t in inputs]
    expand(model._graph, "", [add(name, "InputLayer", [], [t])[0] for name, t in zip(named, inputs)])
    return found


def write_projector(folder: Path, weights: dict[str, tuple[np.ndarray, str | None]], suffix: str) -> None:
    """Write embeddings as tables of tab-separated values, and the configuration by which the projector finds them.

    Args:
        weights: for each embedding its array (rows, dimensions), and the file that tells what its rows are.
        suffix: ends the names of the tables.
    """
    config = _tensorboard("plugins.projector").ProjectorConfig()
    for name, (array, metadata) in weights.items():
        table = folder / "train" / f"embedding-{name}-{suffix}.tsv"
        table.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(table, array, fmt="%.7g", delimiter="\t")
        entry = config.embeddings.add(tensor_name=name, tensor_path=table.relative_to(folder).as_posix())
        entry.tensor_shape.extend(array.shape)
        if metadata is not None:
            entry.metadata_path = metadata
    text = package("google.protobuf.text_format", "TensorBoard", "protobuf").MessageToString(config)
    (folder / "projector_config.pbtxt").write_text(text, encoding="utf-8")
