"""`FeatureSpace`: a table's columns, each prepared in its own way, as one vector for each row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from kerata import engine, errors, layers, ops, saving, tree
from kerata.core import registry, scopes
from kerata.core.configurable import Configurable
from kerata.core.symbolic import any_symbolic

__all__ = ["Cross", "Feature", "FeatureSpace", "TFDIdentity"]

Real: TypeAlias = float  # inside FeatureSpace, `float` is a kind of feature


class Feature(Configurable):
    """How one column is prepared; `FeatureSpace.feature` and its likes make one."""

    _serialized_module = "keras.src.layers.preprocessing.feature_space"

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        _check_mode("output_mode", output_mode, ("int", "one_hot", "float"))
        self.dtype, self.output_mode = dtype, output_mode
        self.preprocessor = registry.deserialize_keras_object(preprocessor) if (
            isinstance(preprocessor, dict)
        ) else preprocessor  # fmt: skip


class Cross(Configurable):
    """Columns that are joined into one; `FeatureSpace.cross` makes one."""

    _serialized_module = "keras.src.layers.preprocessing.feature_space"

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        _check_mode("output_mode", output_mode, ("int", "one_hot"))
        self.feature_names, self.crossing_dim, self.output_mode = tuple(feature_names), crossing_dim, output_mode

    @property
    def name(self) -> str:
        """The names of the features, joined."""
        return "_X_".join(self.feature_names)


class TFDIdentity(layers.Layer):
    """Gives back numbers as floats; under this name it stands in files."""

    _serialized_module = "keras.src.layers.preprocessing.feature_space"
    built = True

    def call(self, x: Any) -> Any:
        return ops.cast(x, self.compute_dtype)


def _check_mode(argument: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise errors.UnknownName(argument, value, allowed, where="FeatureSpace")


class FeatureSpace(layers.Layer):
    """Prepares the columns of a table: scales numbers, numbers categories, crosses columns, and joins all of them.

    Args:
        features: the kind of each column by its name: "float", "float_normalized", "float_rescaled",
            "float_discretized", "integer_categorical", "string_categorical", "integer_hashed", "string_hashed", or
            what the methods of these names return, or what `feature` returns.
        output_mode: "concat" for one vector for each row, the features in the order of their names and then the
            crosses; "dict" for each of them by name.
        crosses: tuples of names of categorical columns, or what `cross` returns.
        crossing_dim: how many bins a cross has.
        hashing_dim: how many bins "integer_hashed" and "string_hashed" have.
        num_discretization_bins: how many ranges "float_discretized" has.

    `adapt` learns from data what the features need to know. Then a call takes rows: a dictionary of columns, a table
    (such as one of pandas), or a single row, which is a dictionary of values. For a model that takes raw columns,
    `get_inputs` gives its inputs, and `get_encoded_features` what the rest of it is built upon.

    Example:
        >>> table = {"size": [1.0, 2.0, 3.0], "colour": [7, 7, 5]}
        >>> space = kerata.utils.FeatureSpace({"size": "float", "colour": "integer_categorical"})
        >>> space.adapt(table)
        >>> space(table).tolist()
        [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 3.0]]
    """

    def __init__(
        self, features: dict[str, Any], output_mode: str = "concat", crosses: Sequence[Any] | None = None,
        crossing_dim: int = 32, hashing_dim: int = 32, num_discretization_bins: int = 32, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=name)
        self._keep(locals(), but=("features", "crosses"))
        _check_mode("output_mode", output_mode, ("concat", "dict"))
        if not features:
            raise errors.InvalidArgument("there are no features.", where="FeatureSpace", got=f"features={features!r}")
        self.features = {name: self._as_feature(name, kind) for name, kind in features.items()}
        self.crosses = [self._as_cross(cross) for cross in crosses or ()]
        self.inputs = {
            name: layers.Input((1,), dtype=feature.dtype, name=name) for name, feature in self.features.items()
        }
        self.preprocessors = {name: feature.preprocessor for name, feature in self.features.items()}
        self.crossers = {
            cross.name: layers.HashedCrossing(cross.crossing_dim, name=cross.name) for cross in self.crosses
        }
        self.one_hot_encoders: dict[str, layers.CategoryEncoding] = {}
        self.encoded_features: Any = None
        self._is_adapted = False

    def _as_feature(self, name: str, kind: Any) -> Feature:
        if isinstance(kind, dict):
            kind = registry.deserialize_keras_object(kind)
        if isinstance(kind, Feature):
            return kind
        named = {
            "float": self.float, "float_normalized": self.float_normalized, "float_rescaled": self.float_rescaled,
            "float_discretized": lambda name: self.float_discretized(self.num_discretization_bins, name=name),
            "integer_categorical": self.integer_categorical, "string_categorical": self.string_categorical,
            "integer_hashed": lambda name: self.integer_hashed(self.hashing_dim, name=name),
            "string_hashed": lambda name: self.string_hashed(self.hashing_dim, name=name),
        }  # fmt: skip
        if not isinstance(kind, str) or kind not in named:
            raise errors.UnknownName("kind of feature", kind, named, where=f"FeatureSpace: feature {name!r}")
        return named[kind](name=name)

    def _as_cross(self, cross: Any) -> Cross:
        if isinstance(cross, dict):
            cross = registry.deserialize_keras_object(cross)
        cross = cross if isinstance(cross, Cross) else Cross(cross, self.crossing_dim)
        for name in cross.feature_names:
            if name not in self.features:
                raise errors.UnknownName("feature", name, self.features, where=f"FeatureSpace: cross {cross.name!r}")
        return cross

    # Kinds of features ------------------------------------------------------------------------------------------

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Return a crossing of columns: each combination of values gets one of `crossing_dim` bins."""
        return Cross(feature_names, crossing_dim, output_mode=output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """Return a feature with a layer of one's own.

        Args:
            dtype: the dtype of the column, "string" for text.
            preprocessor: a layer that takes the column, (B, 1).
            output_mode: what becomes of its output: "int" or "float" for what it is, "one_hot" for a vector.
        """
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Return a feature of numbers that stay as they are."""
        return Feature("float32", TFDIdentity(dtype="float32", name=_layer_name(name, "float")), "float")

    @classmethod
    def float_rescaled(cls, scale: Real = 1.0, offset: Real = 0.0, name: str | None = None) -> Feature:
        """Return a feature x scale + offset."""
        return Feature("float32", layers.Rescaling(scale, offset, name=_layer_name(name, "float_rescaled")), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Return a feature of numbers that come to mean 0 and variance 1."""
        return Feature("float32", layers.Normalization(name=_layer_name(name, "float_normalized")), "float")

    @classmethod
    def float_discretized(
        cls, num_bins: int | None, bin_boundaries: Any = None, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Return a feature of numbers that fall into ranges, learned (`num_bins`) or given (then it is None)."""
        layer = layers.Discretization(bin_boundaries, num_bins, name=_layer_name(name, "float_discretized"))
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Return a feature of ints that stand for categories, which are learned."""
        name = _layer_name(name, "integer_categorical")
        return Feature("int32", layers.IntegerLookup(max_tokens, num_oov_indices, name=name), output_mode)

    @classmethod
    def string_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Return a feature of strings that stand for categories, which are learned."""
        name = _layer_name(name, "string_categorical")
        return Feature("string", layers.StringLookup(max_tokens, num_oov_indices, name=name), output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a feature of strings that get bins by their hash."""
        return Feature("string", layers.Hashing(num_bins, name=_layer_name(name, "string_hashed")), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a feature of ints that get bins by their hash."""
        return Feature("int32", layers.Hashing(num_bins, name=_layer_name(name, "integer_hashed")), output_mode)

    # Learning ---------------------------------------------------------------------------------------------------

    def adapt(self, dataset: Any) -> None:
        """Learn from data what the features need: means, categories, boundaries.

        Args:
            dataset: a dictionary of columns, a table, or an iterable of dictionaries that each hold a row or a batch
                of rows; of pairs (x, y) the x is taken.
        """
        if not isinstance(dataset, dict) and not _is_table(dataset) and iter(dataset) is dataset:
            dataset = list(dataset)  # it can be gone through only once
        for name in self._list_adaptable_preprocessors():
            self.preprocessors[name].adapt(_Column(dataset, name))
        self._is_adapted = True
        self.one_hot_encoders, self.encoded_features = {}, None
        self.get_encoded_features()

    def _list_adaptable_preprocessors(self) -> list[str]:
        return [name for name, layer in self.preprocessors.items() if hasattr(layer, "adapt") and not _knows(layer)]

    # Encoding ---------------------------------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, Any]:
        """Return the symbolic inputs of a model that takes raw columns, by name."""
        self.get_encoded_features()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """Return the symbolic features that follow from `get_inputs`, in the output mode."""
        if self.encoded_features is None:
            if not self._is_adapted and (names := self._list_adaptable_preprocessors()):
                raise errors.NotBuilt(
                    "the features have not learned what they need.", where=f"FeatureSpace {self.name!r}", got=names,
                    hint="call `adapt` on data first",
                )  # fmt: skip
            self._is_adapted = True
            self.encoded_features = self._encoded(self.inputs)
            self.built = True
        return self.encoded_features

    def __call__(self, data: Any) -> Any:
        """Return the encoded rows.

        Args:
            data: a dictionary of columns, (B,) or (B, 1), a table, or a dictionary of the values of one row. Columns
                that are no features are left out.
        """
        self.get_encoded_features()
        if _is_table(data):
            data = {name: data[name] for name in self.features if name in data.columns}
        if not isinstance(data, dict):
            raise errors.InvalidArgument(
                "rows come as a dictionary of columns, or as a table.", where=f"FeatureSpace {self.name!r}",
                got=type(data).__name__,
            )  # fmt: skip
        if missing := sorted(set(self.features) - set(data)):
            raise errors.InvalidArgument(
                "columns are missing.", where=f"FeatureSpace {self.name!r}", expected=[*self.features], got=[*data],
                hint=f"without: {missing}",
            )  # fmt: skip
        columns = {name: data[name] for name in self.features}
        if any_symbolic((columns,)):
            return self._encoded(columns)
        columns = {name: _as_array(x) for name, x in columns.items()}
        single = any(x.ndim == 0 for x in columns.values())
        encoded = self._encoded({name: _as_column(x) for name, x in columns.items()})
        return tree.map_structure(lambda x: ops.squeeze(x, 0), encoded) if single else encoded

    call = __call__

    def _encoded(self, columns: dict[str, Any]) -> Any:
        found = {name: layer(columns[name]) for name, layer in self.preprocessors.items()}
        crossed = {c.name: self.crossers[c.name]([found[name] for name in c.feature_names]) for c in self.crosses}
        specs: dict[str, Any] = {**self.features, **{c.name: c for c in self.crosses}}
        encoded = {}
        for name, x in [*sorted(found.items()), *sorted(crossed.items())]:
            encoded[name] = self._one_hot_encoder(name, x)(x) if specs[name].output_mode == "one_hot" else x
            if self.output_mode == "concat" and not _is_float(encoded[name]):
                raise errors.InvalidArgument(
                    "whole numbers do not go into one vector with the rest.", where=f"FeatureSpace: feature {name!r}",
                    got=f"dtype {encoded[name].dtype}",
                    hint="FeatureSpace(output_mode='dict'), or output_mode='one_hot' for the feature",
                )  # fmt: skip
        return ops.concatenate(list(encoded.values()), axis=-1) if self.output_mode == "concat" else encoded

    def _one_hot_encoder(self, name: str, x: Any) -> layers.CategoryEncoding:
        if name not in self.one_hot_encoders:
            count = _number_of_categories(self.preprocessors.get(name) or self.crossers[name])
            if count is None or "int" not in str(x.dtype):
                raise errors.InvalidArgument(
                    "its layer gives no numbers of categories, so there is no vector for each.",
                    where=f"FeatureSpace: feature {name!r}", expected="output_mode='int' or 'float'",
                    got=f"output_mode='one_hot', and a layer that gives {x.dtype}",
                )  # fmt: skip
            self.one_hot_encoders[name] = layers.CategoryEncoding(count, output_mode="multi_hot")
        return self.one_hot_encoders[name]

    # Files ------------------------------------------------------------------------------------------------------

    def save(self, filepath: Any) -> None:
        """Save what was learned in a `.keras` file, which `kerata.saving.load_model` reads."""
        self.get_encoded_features()
        saving.save_model(self, filepath)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in ("name", "trainable", "dtype")}

    def get_build_config(self) -> dict[str, Any]:
        return {name: layer.get_build_config() for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: dict[str, Any]) -> None:
        for name, shapes in config.items():
            self.preprocessors[name].build_from_config(shapes)
        self._is_adapted = True

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Do nothing: there is nothing to train."""


def _layer_name(name: str | None, kind: str) -> str:
    return f"{name or scopes.auto_name(kind)}_preprocessor"


def _knows(layer: Any) -> bool:
    """Return whether a layer was given what it would learn."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is not None
    if isinstance(layer, layers.Discretization):
        return layer.num_bins is None
    return getattr(layer, "_has_input_vocabulary", False) or getattr(layer, "input_vocabulary", None) is not None


def _number_of_categories(layer: Any) -> int | None:
    if hasattr(layer, "vocabulary_size"):
        return layer.vocabulary_size()
    if isinstance(layer, layers.Discretization):
        return layer.num_bins or len(layer.bin_boundaries or ()) + 1
    if isinstance(layer, layers.CategoryEncoding):
        return layer.num_tokens
    return layer.num_bins if isinstance(layer, (layers.Hashing, layers.HashedCrossing)) else None


def _is_float(x: Any) -> bool:
    return "float" in str(x.dtype)


# Columns --------------------------------------------------------------------------------------------------------


class _Column:
    """One column of a dataset, as batches (B, 1); it can be gone through again and again."""

    rows = 32  # in a batch made of single rows, as Keras has it

    def __init__(self, dataset: Any, name: str) -> None:
        self.dataset, self.name = dataset, name

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, dict) or _is_table(self.dataset):
            column = _as_column(_as_array(self.dataset[self.name]))
            yield from (column[start : start + self.rows] for start in range(0, len(column), self.rows))
            return
        single: list[Any] = []
        for batch in _batches(self.dataset):
            batch = batch[0] if isinstance(batch, (tuple, list)) else batch
            x = _as_array(batch[self.name])
            if x.ndim:
                yield _as_column(x)
                continue
            single.append(x)
            if len(single) == self.rows:
                yield _as_column(np.stack(single))
                single = []
        if single:
            yield _as_column(np.stack(single))


def _batches(dataset: Any) -> Iterable[Any]:
    return dataset if hasattr(dataset, "__iter__") else (dataset[i] for i in range(len(dataset)))


def _is_table(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "__getitem__")


def _as_array(x: Any) -> Any:
    """Return values as the engine's array, if they are one, or as one of NumPy; of a table's column its values."""
    if engine.arrays.is_array(x):
        return x
    return np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)


def _as_column(x: Any) -> Any:
    """Return (B, 1) for (B,), (1, 1) for a single value."""
    return x.reshape(1, 1) if x.ndim == 0 else x[:, None] if x.ndim == 1 else x
