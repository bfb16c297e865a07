"""Images bent: each new cell takes its value from some place of the old image, between its cells."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from kerata import config, engine, errors
from kerata.core.dtypes import dtype_of, is_float, result_type
from kerata.core.op import Array, FloatArray, op
from kerata.core.rng import draw_key
from kerata.engine import arrays, xp
from kerata.ops.image.filtering import gaussian_blur
from kerata.ops.image.layout import channels_last

__all__ = ["affine_transform", "elastic_transform", "map_coordinates", "perspective_transform"]

_ORDERS = {"nearest": 0, "bilinear": 1}


# Values between cells -------------------------------------------------------------------------------------------


def _cell(mode: str, index: Any, size: int) -> Any:
    """Return which of the `size` cells of an axis stands at any whole number.

    Beyond the last of a, b, c, d follow: d d d ("nearest"), a b c ("wrap"), c b a ("mirror"), d c b ("reflect").
    """
    if mode == "wrap":
        return xp.mod(index, size)
    if mode == "mirror":
        index = xp.mod(index, max(2 * size - 2, 1))
        return xp.minimum(index, 2 * size - 2 - index)
    if mode == "reflect":
        index = xp.mod(index, 2 * size)
        return xp.minimum(index, 2 * size - 1 - index)
    return xp.clip(index, 0, size - 1)  # "nearest"; and for "constant", so that there is something to read


_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _rounded(x: Any) -> Any:
    """Return x rounded, halves away from zero."""
    whole = xp.trunc(x)
    return whole + xp.where(xp.abs(x - whole) >= 0.5, xp.sign(x), 0)


def _sample(
    x: Any, coordinates: Sequence[Any], order: int, fill_mode: str, fill_value: Any, batch: tuple[Any, ...] = ()
) -> Any:
    """Return the values of x at places between its cells, by a multilinear mixture (order 1) or the nearest cell (0).

    Args:
        x: its first axes are those of `batch` and of `coordinates`; whole rows of the others are taken.
        coordinates: floats of one shape for each axis.
        batch: whole numbers, for axes that come before.
    """
    ends = []
    for at in coordinates:
        low = xp.floor(at) if order else _rounded(at)
        share = at - low
        low = arrays.cast(low, "int32")
        ends.append([(low, 1 - share), (low + 1, share)] if order else [(low, xp.ones_like(share))])
    sizes = x.shape[len(batch) : len(batch) + len(ends)]
    trailing = x.ndim - len(batch) - len(ends)
    result: Any = 0
    for corner in itertools.product(*ends):
        place: list[Any] = []
        weight: Any = 1
        inside: Any = True
        for (index, share), size in zip(corner, sizes):
            place.append(_cell(fill_mode, index, size))
            weight = weight * share
            inside = xp.logical_and(inside, xp.logical_and(index >= 0, index < size))
        wide = (*weight.shape, *(1,) * trailing)
        values = x[(*batch, *place)]
        if fill_mode == "constant":
            values = xp.where(xp.reshape(inside, wide), values, xp.asarray(fill_value, x.dtype))
        result = result + xp.reshape(weight, wide) * values
    return arrays.cast(result if is_float(x.dtype) else _rounded(result), dtype_of(x))


def _check_mode(where: str, fill_mode: str) -> None:
    if fill_mode not in _FILL_MODES:
        raise errors.UnknownName("fill_mode", fill_mode, _FILL_MODES, where=f"ops.image.{where}")


def _order(where: str, interpolation: str) -> int:
    if interpolation not in _ORDERS:
        raise errors.UnknownName("interpolation", interpolation, _ORDERS, where=f"ops.image.{where}")
    return _ORDERS[interpolation]


@op
def map_coordinates(
    inputs: Array, coordinates: FloatArray, order: int, fill_mode: str = "constant", fill_value: Any = 0
) -> Array:
    """Return the values of `inputs` at `coordinates` (axes of inputs, …), which may lie between cells or outside.

    Args:
        order: 0 for the nearest cell, 1 for the multilinear mixture of those around.
        fill_mode: what lies outside: "constant" for `fill_value`, "nearest" for the last cell, "wrap" for the image
            again, "mirror" and "reflect" for its mirror image, without and with the last cell.

    Example:
        >>> kerata.ops.image.map_coordinates([0.0, 10.0, 20.0], [[0.5, 1.25, 7.0]], 1).tolist()
        [5.0, 12.5, 0.0]
    """
    if coordinates.ndim < 2 or coordinates.shape[0] != inputs.ndim:
        raise errors.ShapeMismatch(
            "a place has one coordinate for each axis.", where="ops.image.map_coordinates",
            expected=f"shape ({inputs.ndim}, …)", got=f"shape {tuple(coordinates.shape)}",
        )  # fmt: skip
    if order not in (0, 1):
        raise errors.InvalidArgument(
            "there are two orders.", where="ops.image.map_coordinates", expected="0 or 1", got=order
        )
    _check_mode("map_coordinates", fill_mode)
    return _sample(inputs, [coordinates[i] for i in range(inputs.ndim)], order, fill_mode, fill_value)


# Images bent ----------------------------------------------------------------------------------------------------


def _grid(x: Any, dtype: str) -> tuple[Any, Any]:
    """Return the row (1, H, 1) and the column (1, 1, W) of each cell of images (B, H, W, C)."""
    rows, columns = (arrays.cast(xp.arange(n), dtype) for n in x.shape[1:3])
    return rows[None, :, None], columns[None, None, :]


def _bent(x: Any, rows: Any, columns: Any, order: int, fill_mode: str, fill_value: Any) -> Any:
    """Return images (B, H, W, C) whose cells come from `rows` and `columns`, (B, H, W) or (1, H, W)."""
    rows, columns = (xp.broadcast_to(at, x.shape[:3]) for at in (rows, columns))
    image = xp.arange(x.shape[0])[:, None, None]
    return _sample(x, [rows, columns], order, fill_mode, fill_value, (image,))


def _projected(x: Any, numbers: Any) -> tuple[Any, Any]:
    """Return the rows and columns to which eight numbers (B, 8) send the cells of images (B, H, W, C).

    (column, row) = (a₀ x + a₁ y + a₂, b₀ x + b₁ y + b₂) / (c₀ x + c₁ y + 1) for column x and row y.
    """
    y, x = _grid(x, dtype_of(numbers))
    a0, a1, a2, b0, b1, b2, c0, c1 = (numbers[:, i, None, None] for i in range(8))
    distance = c0 * x + c1 * y + 1
    return (b0 * x + b1 * y + b2) / distance, (a0 * x + a1 * y + a2) / distance


@op
def affine_transform(
    images: Array,
    transform: FloatArray,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> Array:
    """Return images whose cell at column x and row y comes from another place of the given ones, found by a matrix.

    It is ((a₀ x + a₁ y + a₂) / k, (b₀ x + b₁ y + b₂) / k) with k = c₀ x + c₁ y + 1.

    Args:
        images: (H, W, C) or (B, H, W, C), or with channels first; of any dtype.
        transform: a₀, a₁, a₂, b₀, b₁, b₂, c₀, c₁ as (8,) for all images or (B, 8).
        interpolation: "nearest" or "bilinear".
        fill_mode, fill_value: what lies outside, as for `map_coordinates`.

    Example:
        >>> x = [[[1.0], [2.0], [3.0]]]
        >>> kerata.ops.image.affine_transform(x, [1, 0, 1, 0, 1, 0, 0, 0])[0, :, 0].tolist()
        [2.0, 3.0, 0.0]
    """
    order = _order("affine_transform", interpolation)
    _check_mode("affine_transform", fill_mode)
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise errors.ShapeMismatch(
            "a transform has eight numbers.", where="ops.image.affine_transform", expected="shape (8,) or (B, 8)",
            got=f"shape {tuple(transform.shape)}",
        )  # fmt: skip
    x, back = channels_last(images, data_format, "affine_transform")
    rows, columns = _projected(x, xp.reshape(transform, (-1, 8)))
    return back(_bent(x, rows, columns, order, fill_mode, fill_value))


@op
def perspective_transform(
    images: Array,
    start_points: FloatArray,
    end_points: FloatArray,
    interpolation: str = "bilinear",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> Array:
    """Return images seen from elsewhere, such that four points of them come to lie at four others.

    Args:
        images: (H, W, C) or (B, H, W, C), or with channels first; of any dtype.
        start_points, end_points: (column, row) of each point before and after, (4, 2) for all images or (B, 4, 2);
            no three of them on a line.
        interpolation: "nearest" or "bilinear". Outside lies `fill_value`.

    Example:
        >>> x = [[[1.0], [2.0]], [[3.0], [4.0]]]
        >>> corners, mirrored = [[0, 0], [1, 0], [0, 1], [1, 1]], [[1, 0], [0, 0], [1, 1], [0, 1]]
        >>> y = kerata.ops.image.perspective_transform(x, corners, mirrored, interpolation="nearest")
        >>> y[..., 0].tolist()
        [[2.0, 1.0], [4.0, 3.0]]
    """
    order = _order("perspective_transform", interpolation)
    for points in (start_points, end_points):
        if points.ndim not in (2, 3) or tuple(points.shape[-2:]) != (4, 2):
            raise errors.ShapeMismatch(
                "a view is given by four points.", where="ops.image.perspective_transform",
                expected="shapes (4, 2) or (B, 4, 2)", got=f"shape {tuple(points.shape)}",
            )  # fmt: skip
    x, back = channels_last(images, data_format, "perspective_transform")
    rows, columns = _projected(x, homography(start_points, end_points))
    return back(_bent(x, rows, columns, order, "constant", fill_value))


def homography(start: Any, end: Any) -> Any:
    """Return the eight numbers (B, 8) that send each of the four end points to its start point."""
    kind = result_type(dtype_of(start), dtype_of(end), "float32")
    start, end = xp.broadcast_arrays(arrays.cast(start, kind), arrays.cast(end, kind))
    (u, v), (x, y) = ((points[..., 0], points[..., 1]) for points in (start, end))
    one, zero = xp.ones_like(x), xp.zeros_like(x)
    # u (c₀ x + c₁ y + 1) = a₀ x + a₁ y + a₂, and so for v: two equations for each point, eight for eight numbers.
    first = xp.stack([x, y, one, zero, zero, zero, -u * x, -u * y], axis=-1)
    second = xp.stack([zero, zero, zero, x, y, one, -v * x, -v * y], axis=-1)
    matrix = xp.concatenate([first, second], axis=-2)
    numbers = xp.linalg.solve(matrix, xp.concatenate([u, v], axis=-1)[..., None])
    return xp.reshape(numbers, (-1, 8))


@op
def elastic_transform(
    images: Array,
    alpha: Any = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: Any = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Array:
    """Return images bent at random, as if drawn on rubber: each cell comes from a place nearby.

    The distance is `alpha` times normal noise of deviation `sigma`, blurred by `sigma`, drawn for rows and for
    columns (Simard and others 2003, https://doi.org/10.1109/ICDAR.2003.1227801).

    Args:
        images: (H, W, C) or (B, H, W, C), or with channels first; of any dtype.
        interpolation: "nearest" or "bilinear".
        fill_mode, fill_value: what lies outside, as for `map_coordinates`.
        seed: an int, a `SeedGenerator` or None.

    Example:
        >>> import numpy
        >>> kerata.ops.image.elastic_transform(numpy.ones((8, 8, 3)), seed=1).shape
        (8, 8, 3)
    """
    reach = int(6 * sigma) | 1  # three deviations to both sides; an odd number of cells
    return stretched(images, alpha, sigma, reach, interpolation, fill_mode, fill_value, seed, data_format)


def stretched(
    images: Any, alpha: Any, sigma: Any, reach: int, interpolation: str, fill_mode: str, fill_value: Any, seed: Any,
    data_format: str | None,
) -> Any:  # fmt: skip
    """Return what `elastic_transform` does; with the blur's `reach` given, `sigma` may be drawn too."""
    order = _order("elastic_transform", interpolation)
    _check_mode("elastic_transform", fill_mode)
    x, back = channels_last(images, data_format, "elastic_transform")
    kind = result_type(dtype_of(x), config.floatx())
    noise = sigma * engine.random.normal(draw_key(seed), (*x.shape[:3], 2), kind)
    moves = alpha * gaussian_blur(noise, (reach, reach), (sigma, sigma), "channels_last")
    y, z = _grid(x, kind)
    return back(_bent(x, y + moves[..., 0], z + moves[..., 1], order, fill_mode, fill_value))
