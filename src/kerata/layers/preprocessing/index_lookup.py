"""What lookups share: a vocabulary, how it is learned and kept, and how numbers are given back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerata import config as settings
from kerata import engine, errors
from kerata.core.op import convert
from kerata.core.symbolic import KerasTensor
from kerata.layers.base import Layer
from kerata.layers.preprocessing.encoding import check_output_mode
from kerata.layers.preprocessing.text import Rows, vocabulary_lines

__all__ = ["LEFT_OUT", "UNKNOWN", "IndexLookup", "batches_of", "on_host", "refuse_path"]

OUTPUT_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
_OLD_MODES = {"binary": "multi_hot", "tf-idf": "tf_idf"}
UNKNOWN, LEFT_OUT = -2, -1
_FILE = "vocabulary.txt"


class IndexLookup(Layer):
    """What both lookups share: the vocabulary, how it is learned, and how numbers are given back."""

    built = True
    runs_on_host = True  # where it can; text has no other place, and integers keep their 64 bits there
    own_layout = True  # in files: its weights are no Variables
    vocabulary_dtype: str

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        given = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        size = kwargs.pop("vocabulary_size", None)
        for ignored in ("trainable", "dtype"):
            kwargs.pop(ignored, None)
        super().__init__(name=name, **kwargs)
        where = type(self).__name__
        self.output_mode = _OLD_MODES.get(output_mode, output_mode)
        check_output_mode(where, self.output_mode, OUTPUT_MODES, sparse)
        if oov_method not in ("floormod", "farmhash"):
            raise errors.UnknownName("oov_method", oov_method, ("floormod", "farmhash"), where=where)
        for wrong, what, got in (
            (max_tokens is not None and max_tokens <= 1, "`max_tokens` is more than 1.", max_tokens),
            (pad_to_max_tokens and max_tokens is None, "`pad_to_max_tokens` needs `max_tokens`.", max_tokens),
            (num_oov_indices < 0, "`num_oov_indices` is no negative number.", num_oov_indices),
            (invert and self.output_mode != "int", "`invert` goes with output_mode='int'.", output_mode),
            (
                idf_weights is not None and self.output_mode != "tf_idf",
                "`idf_weights` go with output_mode='tf_idf'.", output_mode,
            ),
            (
                self.output_mode == "tf_idf" and vocabulary is not None and idf_weights is None,
                "a `vocabulary` in output_mode 'tf_idf' needs its `idf_weights`.", None,
            ),
            (
                salt is not None and self.vocabulary_dtype == "int64" and oov_method != "farmhash",
                "`salt` goes with oov_method='farmhash'.", oov_method,
            ),
            (invert and oov_token is None, "`invert` needs an `oov_token` to give back.", None),
        ):  # fmt: skip
            if wrong:
                raise errors.InvalidArgument(what, where=where, got=got)
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token = mask_token, oov_token
        self.invert, self.sparse, self.pad_to_max_tokens = invert, sparse, pad_to_max_tokens
        self.oov_method, self.salt = oov_method, _key(salt, where)
        self.input_vocabulary = None if _is_path(vocabulary) else vocabulary
        self.input_idf_weights = idf_weights
        self.idf_weights: np.ndarray | None = None
        self._has_input_vocabulary = given
        self._frozen_size = size if isinstance(size, int) and size > self._term_start else None
        self._use([])
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    # The vocabulary ---------------------------------------------------------------------------------------------

    def _terms_of(self, x: Any) -> list[Any]:
        """Return terms as Python values."""
        raise NotImplementedError

    @property
    def _oov_start(self) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _term_start(self) -> int:
        return self._oov_start + self.num_oov_indices

    @property
    def _special_tokens(self) -> list[Any]:
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    def _use(self, terms: list[Any]) -> None:
        """Take `terms` as the vocabulary."""
        self._terms = terms
        self._numbers = {term: i for i, term in enumerate(terms, self._term_start)}
        if self.mask_token is not None:
            self._numbers[self.mask_token] = 0 if self.output_mode == "int" else LEFT_OUT

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Return the terms in the order of their numbers, with the mask and out-of-vocabulary tokens or without."""
        return [*self._special_tokens, *self._terms] if include_special_tokens else list(self._terms)

    def vocabulary_size(self) -> int:
        """Return how many numbers there are: those of terms, masks and out-of-vocabulary places."""
        return self._term_start + len(self._terms)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a vocabulary instead of learning one.

        Args:
            vocabulary: the terms, as a list or an array, or the path of a text file with one on each line. The list may
                start with the mask and out-of-vocabulary tokens, all of them, as `get_vocabulary` gives it.
            idf_weights: for "tf_idf", a weight for each item of the list.
        """
        where = f"{self._where()}.set_vocabulary"
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise errors.InvalidArgument(
                "`idf_weights` are given in output_mode 'tf_idf', and only there.", where=where,
                got=f"output_mode={self.output_mode!r}, idf_weights={'None' if idf_weights is None else '…'}",
            )  # fmt: skip
        special: list[Any] = []
        if _is_path(vocabulary):
            terms = self._read(Path(vocabulary), where)
        else:
            terms = self._terms_of(vocabulary)
            special = self._special_tokens
        count = len(terms)
        found_special = bool(special) and terms[: len(special)] == special
        if found_special:
            terms = terms[len(special) :]
        self._check(terms, count, where)
        weights = None if idf_weights is None else self._padded_weights(idf_weights, count, found_special, where)
        self._check_size(self._term_start + len(terms))
        self._use(terms)
        self._frozen_size = self.vocabulary_size()
        self.idf_weights = weights

    def _read(self, path: Path, where: str) -> list[Any]:
        if self.output_mode == "tf_idf":
            raise errors.InvalidArgument("a file holds no idf weights.", where=where, got=str(path))
        if not path.is_file():
            raise errors.InvalidArgument("there is no such vocabulary file.", where=where, got=str(path))
        lines = [line.replace("\r", "") for line in vocabulary_lines(path.read_bytes())]
        return self._from_lines(lines, str(path), errors.InvalidArgument)

    def _from_lines(self, lines: list[str], where: str, kind: type[errors.KerataError]) -> list[Any]:
        return lines

    def _check(self, terms: list[Any], count: int, where: str) -> None:
        if not count:
            raise errors.InvalidArgument("the vocabulary is empty.", where=where)
        if len(set(terms)) != len(terms):
            repeated = [term for term, times in Counter(terms).items() if times > 1]
            raise errors.InvalidArgument("terms come more than once.", where=where, got=repeated[:10])
        # Out-of-vocabulary tokens among the terms do harm only where they are given back.
        for token, kind in ((self.mask_token, "mask"), (self.oov_token if self.invert else None, "oov")):
            if token is not None and token in terms:
                raise errors.InvalidArgument(
                    f"the {kind} token stands among the terms.", where=where, got=f"{token!r} at {terms.index(token)}",
                    expected=f"terms only, or these in front of them: {self._special_tokens}",
                )  # fmt: skip
        if self.max_tokens is not None and self._term_start + len(terms) > self.max_tokens:
            raise errors.InvalidArgument(
                "the vocabulary is larger than `max_tokens`.", where=where, expected=f"at most {self.max_tokens}",
                got=f"{self._term_start + len(terms)}, special tokens included",
            )  # fmt: skip

    def _check_size(self, size: int) -> None:
        """Refuse another size where it is that of the output, for which layers above were built."""
        if self.output_mode == "int" or self.pad_to_max_tokens or self._frozen_size in (None, size):
            return
        raise errors.StateError(
            "the size of the vocabulary, which is that of the output, cannot change.", where=self._where(),
            expected=self._frozen_size, got=size, hint="pass max_tokens=…, pad_to_max_tokens=True for room to grow",
        )  # fmt: skip

    def _padded_weights(self, weights: Any, count: int, found_special: bool, where: str) -> np.ndarray:
        weights = np.asarray(weights, "float64")
        if weights.shape != (count,):
            raise errors.InvalidArgument(
                "there is one idf weight for each item of the vocabulary.", where=where, expected=f"shape ({count},)",
                got=f"shape {weights.shape}",
            )  # fmt: skip
        return self._with_unknown(weights, 0 if found_special else self._term_start)

    def _with_unknown(self, weights: np.ndarray, front: int) -> np.ndarray:
        """Give unknown terms the average weight, and the unused end of the output none."""
        weights = np.concatenate([np.full(front, weights.mean()), weights])
        back = self.max_tokens - len(weights) if self.pad_to_max_tokens and self.max_tokens is not None else 0
        return np.pad(weights, (0, max(back, 0))).astype(_float())

    # Learning it ------------------------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent terms, and among equally frequent ones the last in order first.

        Args:
            data: an array or list, or an iterable of batches (`steps` of them). In "tf_idf" mode each row is a
                document, and a term's weight is log(1 + documents / (1 + documents with the term)).
        """
        self.reset_state()
        for batch in batches_of(data, steps):
            if batch is data:
                batch = self._array(data)
                batch = batch[:, None] if batch.ndim == 1 else batch
            self.update_state(batch)
        self.finalize_state()

    def _array(self, x: Any) -> np.ndarray:
        """Return inputs as an array of terms."""
        raise NotImplementedError

    def update_state(self, data: Any) -> None:
        """Count the terms of one batch; a batch of one axis is one document."""
        if self._has_input_vocabulary:
            raise errors.InvalidArgument(
                "the layer has a vocabulary from its constructor, so it learns none.", where=self._where()
            )
        if isinstance(data, Rows):
            each = len(data.tokens) // data.shape[0] if data.tokens else 1
            documents = [sum(data.tokens[i : i + each], []) for i in range(0, len(data.tokens), each)]
        else:
            array = self._array(data)
            documents = array.reshape(len(array) if array.ndim > 1 else 1, -1).tolist()
        for document in documents:
            self._counts.update(document)
        if self.output_mode == "tf_idf":
            self._documents += len(documents)
            for document in documents:
                self._document_counts.update(set(document))

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        if self._has_input_vocabulary or not self._counts:
            self._check_size(self.vocabulary_size())
            self._frozen_size = self.vocabulary_size()
            return
        for token in (self.mask_token, self.oov_token):
            self._counts.pop(token, None)
        terms = sorted(self._counts, key=lambda term: (self._counts[term], self._order(term)), reverse=True)
        if self.max_tokens is not None:
            terms = terms[: max(0, self.max_tokens - self._term_start)]
        self._check_size(self._term_start + len(terms))
        self._use(terms)
        self._frozen_size = self.vocabulary_size()
        if self.output_mode == "tf_idf":
            having = np.array([self._document_counts[term] for term in terms], "float64")
            self.idf_weights = self._with_unknown(np.log(1 + self._documents / (1 + having)), self._term_start)
        self.reset_state()

    def _order(self, term: Any) -> Any:
        return term

    def reset_state(self) -> None:
        """Forget what was counted; the vocabulary stays."""
        self._counts: Counter[Any] = Counter()
        self._document_counts: Counter[Any] = Counter()
        self._documents = 0

    # Looking up -------------------------------------------------------------------------------------------------

    def _convert_inputs(self, x: Any) -> Any:
        return x  # the engine may know neither text nor 64 bits

    def call(self, inputs: Any) -> Any:
        self._need_vocabulary()
        if engine.arrays.is_traced(inputs):
            return self._call_traced(inputs)
        if self.invert:
            return self._inverted(np.asarray(inputs if isinstance(inputs, (list, tuple)) else on_host(inputs)))
        array = self._array(inputs)
        return convert(self._encoded(self._numbers_of(array.ravel()).reshape(array.shape)))

    def _need_vocabulary(self) -> None:
        if not self._terms and not (self.output_mode != "int" and self.pad_to_max_tokens):
            raise errors.NotBuilt(
                "the layer has no vocabulary yet.", where=self._where(),
                hint="call adapt(data), or give one: vocabulary=[…]",
            )  # fmt: skip

    def _call_traced(self, inputs: Any) -> Any:
        raise errors.Unsupported(
            "this lookup runs on the host, and not in a compiled function.", where=self._where(),
            hint="make it the first layer of a model, or call it on the data before",
        )  # fmt: skip

    def _inverted(self, numbers: np.ndarray) -> Any:
        """Return the terms with these numbers."""
        table = np.array(self.get_vocabulary(), self._term_type)
        numbers = numbers.astype("int64")
        known = (numbers >= 0) & (numbers < len(table))
        return np.where(known, table[np.where(known, numbers, 0)], np.array(self.oov_token, self._term_type))

    _term_type: Any = object

    def _numbers_of(self, terms: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Return the numbers of a flat sequence of terms, (n,) int64; -1 for what is left out."""
        numbers = self._found(terms)
        unknown = np.flatnonzero(numbers == UNKNOWN)
        if not unknown.size:
            return numbers
        if self.num_oov_indices == 0:
            raise errors.InvalidArgument(
                "there are terms that the vocabulary lacks, and no numbers for them.", where=self._where(),
                got=sorted({str(terms[i]) for i in unknown[:10].tolist()}), hint="num_oov_indices=1 gives them one",
            )  # fmt: skip
        place: Any = 0
        if self.num_oov_indices > 1:
            place = self._buckets([terms[i] for i in unknown.tolist()])
        numbers[unknown] = self._oov_start + place
        return numbers

    def _found(self, terms: Any) -> np.ndarray:
        get = self._numbers.get
        return np.fromiter((get(term, UNKNOWN) for term in terms), "int64", len(terms))

    def _hashed(self, texts: list[bytes]) -> np.ndarray:
        from kerata.layers.preprocessing import fingerprints

        found = (
            fingerprints.fingerprint64(texts) if self.salt is None else fingerprints.siphash64(texts, self.salt)
        )
        return (found % np.uint64(self.num_oov_indices)).astype("int64")

    def _buckets(self, terms: list[Any]) -> np.ndarray:
        """Return a number below `num_oov_indices` for each unknown term."""
        raise NotImplementedError

    @property
    def _depth(self) -> Any:
        return self.max_tokens if self.pad_to_max_tokens else self._frozen_size

    def _encoded(self, numbers: np.ndarray) -> np.ndarray:
        """Return numbers in the output mode."""
        if self.output_mode == "int":
            return numbers
        numbers = np.atleast_1d(numbers)
        if self.output_mode == "one_hot":
            if numbers.ndim > 1 and numbers.shape[-1] == 1:
                numbers = numbers[..., 0]
            return (numbers[..., None] == np.arange(self._depth)).astype("int64")
        *outer, length = numbers.shape
        rows = np.repeat(np.arange(int(np.prod(outer))), length)
        return self._counted(numbers.ravel(), rows, tuple(outer))

    def _counted(self, numbers: np.ndarray, rows: np.ndarray, outer: tuple[int, ...]) -> np.ndarray:
        """Return for each row, by whose number `rows` says what it holds, how often it holds each number."""
        depth, kept = self._depth, numbers >= 0
        size = int(np.prod(outer)) * depth
        counts = np.bincount(rows[kept] * depth + numbers[kept], minlength=size).reshape(*outer, depth)
        if self.output_mode == "multi_hot":
            return (counts > 0).astype("int64")
        return counts.astype(_float()) * self.idf_weights if self.output_mode == "tf_idf" else counts

    # Shapes -----------------------------------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> str:
        """The dtype of the terms."""
        return self.vocabulary_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the terms."""
        return self.vocabulary_dtype

    @property
    def input_dtype(self) -> str:
        """The dtype of what is looked up."""
        return "int64" if self.invert else self.vocabulary_dtype

    def compute_output_shape(self, input_shape: Any) -> tuple:
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        if self.output_mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1):
            return (*shape, self._depth)
        return (*shape[:-1], self._depth)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        number = "int64" if self.output_mode == "int" else settings.floatx()
        return KerasTensor(self.compute_output_shape(inputs.shape), self.vocabulary_dtype if self.invert else number)

    # Files ------------------------------------------------------------------------------------------------------

    def get_build_config(self) -> dict[str, Any]:
        return {}

    def get_config(self) -> dict[str, Any]:
        base = {k: v for k, v in super().get_config().items() if k in ("name", "trainable", "dtype")}
        return {
            **base, "invert": self.invert, "max_tokens": self.max_tokens, "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token, "mask_token": self.mask_token, "output_mode": self.output_mode,
            "sparse": self.sparse, "pad_to_max_tokens": self.pad_to_max_tokens,
            "idf_weights": _plain(self.input_idf_weights),
            "vocabulary": None if self.input_vocabulary is None else self._terms_of(self.input_vocabulary),
            "vocabulary_size": self._frozen_size, "oov_method": self.oov_method, "salt": self.salt,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        refuse_path(config, cls.__name__)
        return super().from_config(config)

    def save_own_variables(self, store: Any) -> None:
        if self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights

    def load_own_variables(self, store: Any) -> None:
        if self.output_mode != "tf_idf":
            return
        weights = np.asarray(store["idf_weights"])
        if weights.ndim != 1 or weights.dtype.kind not in "fiu":
            raise errors.CorruptFile(
                "these are no idf weights.", where=self._where(), got=f"{weights.dtype} of shape {weights.shape}"
            )
        self.idf_weights = weights.astype(_float())

    def save_assets(self, dir_path: Any) -> None:
        """Write the vocabulary, where the config does not hold it, as a text file into a folder."""
        if self.input_vocabulary is not None:
            return
        terms = [str(term) for term in self.get_vocabulary()]
        if any("\n" in term for term in terms):
            raise errors.Unsupported(
                "a term holds a line break, and the file of the vocabulary has a term on each line.",
                where=self._where(), hint="give the vocabulary to the constructor, which puts it into the config",
            )  # fmt: skip
        data = "\n".join(terms).encode("utf-8", "surrogateescape")
        Path(dir_path, _FILE).write_bytes(data)

    def load_assets(self, dir_path: Any) -> None:
        """Read the vocabulary that `save_assets` wrote."""
        if self.input_vocabulary is not None:
            return
        where = f"{self._where()}: {_FILE}"
        try:
            data = Path(dir_path, _FILE).read_bytes()
        except OSError as error:
            raise errors.CorruptFile("the file lacks the vocabulary of a layer.", where=where, got=error) from None
        # No line feed ends the last term, so an empty last line is a term: but where the config counts fewer.
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        while len(lines) > max(self._frozen_size or 0, self._term_start) and lines[-1] == "":
            lines.pop()
        terms = self._from_lines(lines[self._term_start :], where, errors.CorruptFile)
        size = self._term_start + len(terms)
        wide = self.max_tokens if self.pad_to_max_tokens else size
        got = None if self.idf_weights is None else len(self.idf_weights)
        if self._frozen_size not in (None, size):
            raise errors.CorruptFile(
                "the vocabulary has another size than the config says.", where=where, expected=self._frozen_size,
                got=size,
            )  # fmt: skip
        if terms and self.output_mode == "tf_idf" and got != wide:
            raise errors.CorruptFile("there is one idf weight for each term.", where=where, expected=wide, got=got)
        if terms:
            try:
                self._check(terms, len(terms), where)
            except errors.InvalidArgument as error:
                raise errors.CorruptFile("the vocabulary is no vocabulary.", where=where, got=error) from None
        self._use(terms)


# Helpers --------------------------------------------------------------------------------------------------------


def batches_of(data: Any, steps: int | None = None) -> Iterable[Any]:
    """Yield `data` itself where it is an array or a list, or else its batches, `steps` of them at most."""
    if isinstance(data, (str, bytes, list, tuple)) or hasattr(data, "__array__") or not hasattr(data, "__iter__"):
        yield data
        return
    for i, batch in enumerate(data):
        if steps is not None and i >= steps:
            return
        yield batch


def refuse_path(config: dict[str, Any], where: str) -> None:
    """Refuse a config that names a vocabulary file: one that is not to be trusted could have any file read."""
    if _is_path(config.get("vocabulary")):
        raise errors.InvalidArgument(
            "the config names a vocabulary file, and a config never makes files be read.", where=where,
            got=str(config["vocabulary"])[:100], hint="read the file yourself: set_vocabulary(path)",
        )  # fmt: skip


def _is_path(vocabulary: Any) -> bool:
    return isinstance(vocabulary, (str, bytes, os.PathLike))


def _key(salt: Any, where: str) -> list[int] | None:
    if salt is None:
        return None
    if isinstance(salt, int):
        return [salt, salt]
    if isinstance(salt, (tuple, list)) and len(salt) == 2:
        return list(salt)
    raise errors.InvalidArgument("`salt` is a number, or two.", where=where, got=salt)


def on_host(x: Any) -> Any:
    return engine.arrays.to_numpy(convert(x)) if engine.arrays.is_array(x) or hasattr(x, "assign") else x


def _plain(x: Any) -> Any:
    return x.tolist() if hasattr(x, "tolist") else x


def _float() -> str:
    return settings.floatx() if settings.floatx() in ("float64", "float32", "float16") else "float32"
