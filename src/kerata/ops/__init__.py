"""Every op, by its name: `kerata.ops.matmul`, `kerata.ops.softmax`, `kerata.ops.image.resize`.

An op takes tensors of the engine, NumPy arrays, lists and numbers; inside a functional model it takes symbolic tensors
and becomes a part of the model.
"""

from kerata.ops import image as image
from kerata.ops import linalg as linalg
from kerata.ops import nn as nn
from kerata.ops import numpy as numpy
from kerata.ops.control import *  # noqa: F403
from kerata.ops.convolution import *  # noqa: F403
from kerata.ops.creation import *  # noqa: F403
from kerata.ops.einops import *  # noqa: F403
from kerata.ops.elementwise import *  # noqa: F403
from kerata.ops.indexing import *  # noqa: F403
from kerata.ops.linalg import *  # noqa: F403
from kerata.ops.nn import *  # noqa: F403
from kerata.ops.reductions import *  # noqa: F403
from kerata.ops.shaping import *  # noqa: F403
from kerata.ops.signal import *  # noqa: F403
