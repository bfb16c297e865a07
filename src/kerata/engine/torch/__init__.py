"""The PyTorch engine: PyTorch's own tensors, computed one operation after the other, on a CPU or with CUDA;
compiled by Inductor where asked to."""

import importlib.util

from kerata import errors

if importlib.util.find_spec("torch") is None:
    raise errors.Unsupported("the torch engine needs PyTorch, which is not installed.", hint="pip install torch")

from kerata.engine.heap import keep_freed_memory  # noqa: E402
from kerata.engine.torch import arrays, devices, nn, random, transforms  # noqa: E402
from kerata.engine.torch.fast_ways import fast_ways as fast_ways  # noqa: E402

name = "torch"
keep_freed_memory()
