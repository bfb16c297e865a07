"""Products of two arrays whose gradients are written out, in the forms that XLA compiles well for a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from kerata.engine.protocol import Array

__all__ = ["bilinear"]

Product = Callable[[Array, Array], Array]


def bilinear(name: str, product: Product, by_left: Product, by_right: Product) -> Product:
    """Return `product`, which is linear in each of two arrays, with its gradients by the left and by the right one.

    They are functions of the output's gradient and of the other array. All further derivatives follow from them.
    """

    compiled = jax.jit(product)

    def abstract(left: ShapedArray, right: ShapedArray) -> ShapedArray:
        y = compiled.eval_shape(left, right)
        return ShapedArray(y.shape, y.dtype)

    def batched(operands: Sequence[Array], axes: Sequence[int | None]) -> tuple[Array, int]:
        return jax.vmap(product, in_axes=tuple(axes))(*operands), 0

    primitive = Primitive(name)
    primitive.def_impl(compiled)
    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(product, multiple_results=False))
    batching.primitive_batchers[primitive] = batched
    ad.defbilinear(primitive, lambda dy, _, right: by_left(dy, right), lambda dy, left, _: by_right(dy, left))
    return primitive.bind
