from . import (
    activations as activations,
    compat as compat,
    config as config,
    constraints as constraints,
    data as data,
    datasets as datasets,
    dtype_policies as dtype_policies,
    engine as engine,
    errors as errors,
    initializers as initializers,
    layers as layers,
    losses as losses,
    metrics as metrics,
    models as models,
    ops as ops,
    optimizers as optimizers,
    random as random,
    regularizers as regularizers,
    saving as saving,
    tree as tree,
    utils as utils,
)
from .core.dtype_policies import DTypePolicy as DTypePolicy
from .core.lifting import custom_gradient as custom_gradient
from .core.lifting import grad as grad
from .core.lifting import jit as jit
from .core.lifting import remat as remat
from .core.lifting import stop_gradient as stop_gradient
from .core.lifting import value_and_grad as value_and_grad
from .core.lifting import vmap as vmap
from .core.op import op as op
from .core.symbolic import KerasTensor as KerasTensor
from .core.symbolic import Operation as Operation
from .core.variable import Variable as Variable

__version__: str
