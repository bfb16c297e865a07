"""`TextVectorization`: texts become the numbers of their words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerata import config as settings
from kerata import engine, errors
from kerata.core import registry
from kerata.core.op import convert
from kerata.core.symbolic import KerasTensor
from kerata.layers.base import Layer
from kerata.layers.preprocessing import text
from kerata.layers.preprocessing.index_lookup import batches_of, refuse_path
from kerata.layers.preprocessing.lookup import StringLookup

__all__ = ["TextVectorization"]

_STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
_SPLIT = ("whitespace", "character")


class TextVectorization(Layer):
    """Makes texts standard, cuts them into tokens, and gives the tokens' numbers in a vocabulary.

    It runs on the host: in front of a model, or on data. A text is one item of a batch, (B,) or (B, 1).

    Args:
        max_tokens: the largest size of the vocabulary, special tokens included; None for any.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation" (of ASCII letters and signs), a
            function of an array of strings, or None.
        split: "whitespace" (ASCII's), "character", a function from an array of strings to a list of tokens for each,
            or None for texts that are tokens already, (B, T).
        ngrams: n for all n-grams of 1 to n tokens, or a tuple of their lengths.
        output_mode: "int" for numbers (B, T), filled up with 0; 1 is for unknown tokens. "multi_hot", "count" and
            "tf_idf" for one vector for each text, (B, depth). "one_hot" for (B, T, depth).
        output_sequence_length: T; the longest text of the batch for None.
        pad_to_max_tokens: whether depth is `max_tokens` even for a smaller vocabulary.
        vocabulary: a list or array of tokens, or the path of a file with one on each line; None to `adapt`.
        idf_weights: for "tf_idf", a weight for each item of `vocabulary`.
        sparse, ragged: must be False: there are no such tensors.
        encoding: how bytes are read.

    Example:
        >>> layer = kerata.layers.TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["foo bar", "bar baz", "baz bada boom"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'baz', 'bar', 'foo', 'boom', 'bada']
        >>> numpy.asarray(layer(["Foo, qux bar!"])).tolist()
        [[4, 1, 3, 0]]
    """

    built = True
    runs_on_host = True
    own_layout = True  # in files: its weights are no Variables

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[Any], Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[[Any], Any] | None = "whitespace",
        ngrams: int | tuple[int, ...] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        lookup = {k: kwargs.pop(k) for k in ("has_input_vocabulary", "vocabulary_size") if k in kwargs}
        super().__init__(name=name, **kwargs)
        for argument, value, known in (("standardize", standardize, _STANDARDIZE), ("split", split, _SPLIT)):
            if value is not None and not callable(value) and value not in known:
                raise errors.UnknownName(argument, value, known, where="TextVectorization")
        if ngrams is not None and not (
            isinstance(ngrams, int) or isinstance(ngrams, tuple) and all(isinstance(n, int) for n in ngrams)
        ):
            raise errors.InvalidArgument(
                "`ngrams` is a number or a tuple of them.", where="TextVectorization", got=ngrams
            )
        if output_sequence_length is not None and (
            output_mode != "int" or not isinstance(output_sequence_length, int)
        ):
            raise errors.InvalidArgument(
                "`output_sequence_length` is a number, for output_mode='int'.", where="TextVectorization",
                got=f"{output_sequence_length!r} in output_mode {output_mode!r}",
            )  # fmt: skip
        if ragged:
            raise errors.Unsupported(
                "ragged tensors do not exist here.", where="TextVectorization: ragged=True",
                hint="leave it out: shorter texts are filled up with 0",
            )  # fmt: skip
        self._standardize, self._split = standardize, split
        self._ngrams, self._output_sequence_length = ngrams, output_sequence_length
        self._lookup_layer = StringLookup(
            max_tokens, vocabulary=vocabulary, idf_weights=idf_weights, pad_to_max_tokens=pad_to_max_tokens,
            mask_token="", output_mode=output_mode, sparse=sparse, encoding=encoding, **lookup,
        )  # fmt: skip

    def build(self, input_shape: Any = None) -> None:
        self.built = True  # the vocabulary is no weight

    # The vocabulary ---------------------------------------------------------------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent tokens, and among equally frequent ones the last in order first.

        Args:
            data: an array or list of texts, or an iterable of batches (`steps` of them).
        """
        self.reset_state()
        for batch in batches_of(data, steps):
            if batch is data:
                batch = text.as_strings(data, self._encoding, "TextVectorization.adapt")
                batch = batch[:, None] if batch.ndim == 1 else batch
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the tokens of one batch of texts."""
        self._lookup_layer.update_state(self._tokens(data))

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted; the vocabulary stays."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Return the tokens in the order of their numbers, with the empty and the unknown one or without."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Return how many numbers there are, those of special tokens included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a vocabulary instead of learning one; see `StringLookup.set_vocabulary`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights=idf_weights)

    # Calling ----------------------------------------------------------------------------------------------------

    @property
    def _encoding(self) -> str:
        return self._lookup_layer.encoding

    def _convert_inputs(self, x: Any) -> Any:
        return x  # no engine knows text

    def _tokens(self, inputs: Any) -> text.Rows | np.ndarray:
        texts = text.as_strings(inputs, self._encoding, "TextVectorization")
        tokens: Any = text.standardize(texts, self._standardize, self._encoding)
        if self._split is not None:
            if tokens.ndim > 1:
                if tokens.shape[-1] != 1:
                    raise errors.ShapeMismatch(
                        "a text is one item of the batch.", where=self._where(), expected="shape (B,) or (B, 1)",
                        got=f"shape {tokens.shape}", hint="split=None takes rows of tokens",
                    )  # fmt: skip
                tokens = tokens[..., 0]
            tokens = text.split(tokens, self._split, self._encoding)
        if self._ngrams is not None:
            tokens = text.ngrams(tokens, self._widths)
        return tokens

    @property
    def _widths(self) -> tuple[int, ...]:
        assert self._ngrams is not None
        return tuple(range(1, self._ngrams + 1)) if isinstance(self._ngrams, int) else self._ngrams

    def call(self, inputs: Any) -> Any:
        lookup = self._lookup_layer
        lookup._need_vocabulary()
        if engine.arrays.is_traced(inputs):
            lookup._call_traced(inputs)
        tokens, length = self._tokens(inputs), self._output_sequence_length
        if not isinstance(tokens, text.Rows):
            numbers = lookup._numbers_of(tokens.ravel()).reshape(tokens.shape)
            if length is not None and numbers.ndim:
                numbers = numbers[..., :length]
                missing = length - numbers.shape[-1]
                numbers = np.pad(numbers, [*[(0, 0)] * (numbers.ndim - 1), (0, missing)])
            return convert(lookup._encoded(numbers))
        rows = tokens.tokens if length is None else [row[:length] for row in tokens.tokens]
        lengths = np.fromiter(map(len, rows), "int64", len(rows))
        numbers = lookup._numbers_of([token for row in rows for token in row])
        if lookup.output_mode not in ("int", "one_hot"):
            return convert(lookup._counted(numbers, np.repeat(np.arange(len(rows)), lengths), tokens.shape))
        width = length if length is not None else int(lengths.max(initial=0))
        filled = np.full((len(rows), width), 0 if lookup.output_mode == "int" else -1)
        filled[np.arange(width) < lengths[:, None]] = numbers
        if lookup.output_mode == "one_hot":
            hot = (filled[..., None] == np.arange(lookup._depth)).astype("int64")
            return convert(hot.reshape(*tokens.shape, width, lookup._depth))
        return convert(filled.reshape(*tokens.shape, width))

    # Shapes -----------------------------------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> str:
        """The dtype of what comes in: "string"."""
        return "string"

    @property
    def variable_dtype(self) -> str:
        """The dtype of what comes in: "string"."""
        return "string"

    def compute_output_shape(self, input_shape: Any) -> tuple:
        shape = tuple(input_shape)
        mode, depth = self._lookup_layer.output_mode, self._lookup_layer._depth
        if self._split is not None:
            outer = shape[:-1] if len(shape) > 1 else shape
            shape = (*outer, self._output_sequence_length)
            return (*shape, depth) if mode == "one_hot" else shape if mode == "int" else (*outer, depth)
        if self._ngrams is not None:
            length = shape[-1]
            shape = (*shape[:-1], None if length is None else sum(max(0, length - n + 1) for n in self._widths))
        if mode == "int" and self._output_sequence_length is not None:
            shape = (*shape[:-1], self._output_sequence_length)
        return self._lookup_layer.compute_output_shape(shape)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        dtype = "int64" if self._lookup_layer.output_mode == "int" else settings.floatx()
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype)

    # Files ------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        base = {k: v for k, v in super().get_config().items() if k in ("name", "trainable", "dtype")}
        lookup = self._lookup_layer.get_config()
        return {
            **base, "max_tokens": lookup["max_tokens"],
            "standardize": registry.serialize_keras_object(self._standardize),
            "split": registry.serialize_keras_object(self._split), "ngrams": self._ngrams,
            "output_mode": lookup["output_mode"], "output_sequence_length": self._output_sequence_length,
            "pad_to_max_tokens": lookup["pad_to_max_tokens"], "sparse": False, "ragged": False,
            "vocabulary": lookup["vocabulary"], "idf_weights": lookup["idf_weights"], "encoding": self._encoding,
            "vocabulary_size": self.vocabulary_size(),
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        refuse_path(config, cls.__name__)
        if isinstance(config.get("ngrams"), list):
            config = {**config, "ngrams": tuple(config["ngrams"])}
        return super().from_config(config)

    def save_own_variables(self, store: Any) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: Any) -> None:
        """Write the vocabulary, where the config does not hold it, as a text file into a folder."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: Any) -> None:
        """Read the vocabulary that `save_assets` wrote."""
        self._lookup_layer.load_assets(dir_path)
