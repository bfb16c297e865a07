"""Convolution and pooling: the engine's own table has the hard geometry; here are the arguments."""

import numpy as np
from cases import case, x

case("conv", x(2, 7, 3), x(3, 3, 4), padding="same")
case("conv", x(2, 7, 6, 3), x(3, 2, 3, 4), strides=2, padding="same")
case("conv", x(2, 3, 7, 6), x(3, 2, 3, 4), strides=(2, 1), data_format="channels_first")
case("conv", x(2, 7, 6, 4), x(3, 2, 2, 4), dilation_rate=2)
case("conv", x(2, 7, 3), x(3, 3, 4), padding=[(2, 0)])
case("conv", x(1, 4, 4, 4, 2), x(2, 2, 2, 2, 3), batch=())
case("depthwise_conv", x(2, 7, 6, 3), x(3, 3, 3, 2), padding="same")
case("depthwise_conv", x(2, 7, 3), x(3, 3, 1), strides=2)
case("separable_conv", x(2, 7, 6, 3), x(3, 3, 3, 2), x(1, 1, 6, 4), padding="same")
case("conv_transpose", x(2, 5, 3), x(3, 4, 3), strides=2)
case("conv_transpose", x(2, 5, 4, 3), x(3, 2, 4, 3), strides=(2, 1), padding="same")
case(
    "conv_transpose",
    x(2, 3, 5, 4),
    x(3, 3, 4, 3),
    strides=2,
    padding="same",
    output_padding=1,
    data_format="channels_first",
)
case(
    "max_pool",
    x(2, 6, 3),
    2,
    ref=lambda x, _: x.reshape(2, 3, 2, 3).max(2) if len(x) == 2 else x.reshape(-1, 3, 2, 3).max(2),
)
case("max_pool", x(2, 7, 6, 3), (3, 2), strides=2, padding="same")
case("average_pool", x(2, 6, 3), 2, ref=lambda x, _: x.reshape(-1, 3, 2, 3).mean(2))
case("average_pool", x(2, 7, 6, 3), (3, 2), strides=2, padding="same")
case(
    "average_pool",
    x(2, 3, 6, 6),
    2,
    data_format="channels_first",
    ref=lambda x, _, data_format: x.reshape(-1, 3, 3, 2, 3, 2).mean((3, 5)),
)
case("adaptive_average_pool", x(2, 6, 4, 3), (3, 2), ref=lambda x, _: x.reshape(-1, 3, 2, 2, 2, 3).mean((2, 4)))
case("adaptive_average_pool", x(2, 7, 3), 3)
case("adaptive_max_pool", x(2, 6, 4, 3), (3, 2), ref=lambda x, _: x.reshape(-1, 3, 2, 2, 2, 3).max((2, 4)))
case("space_to_depth", x(2, 4, 6, 3), 2)
case("depth_to_space", x(2, 2, 3, 8), 2)
case("unfold", x(2, 3, 5, 6), 2, stride=2, padding=1)
case(
    "unfold",
    x(2, 1, 3, 3),
    2,
    ref=lambda x, _: np.stack([x[:, 0, i : i + 2, j : j + 2].reshape(-1, 4) for i in (0, 1) for j in (0, 1)], -1),
)
case("fold", x(2, 12, 12), (5, 6), 2, stride=2, padding=1)
case("fold", np.ones((1, 4, 4)), (3, 3), 2, ref=lambda *_: np.array([[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]), batch=())
