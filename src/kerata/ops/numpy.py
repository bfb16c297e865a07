"""The ops that NumPy has too, under Keras's path `ops.numpy`."""

from kerata.ops.control import vectorize as vectorize
from kerata.ops.control import view as view
from kerata.ops.creation import *  # noqa: F403
from kerata.ops.elementwise import *  # noqa: F403
from kerata.ops.indexing import *  # noqa: F403
from kerata.ops.linalg import *  # noqa: F403
from kerata.ops.reductions import *  # noqa: F403
from kerata.ops.shaping import *  # noqa: F403
