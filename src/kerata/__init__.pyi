from . import (
    activations as activations,
)
from . import (
    backend as backend,
)
from . import (
    callbacks as callbacks,
)
from . import (
    compat as compat,
)
from . import (
    config as config,
)
from . import (
    constraints as constraints,
)
from . import (
    data as data,
)
from . import (
    datasets as datasets,
)
from . import (
    dtype_policies as dtype_policies,
)
from . import (
    engine as engine,
)
from . import (
    errors as errors,
)
from . import (
    export as export,
)
from . import (
    initializers as initializers,
)
from . import (
    layers as layers,
)
from . import (
    legacy as legacy,
)
from . import (
    losses as losses,
)
from . import (
    metrics as metrics,
)
from . import (
    mixed_precision as mixed_precision,
)
from . import (
    models as models,
)
from . import (
    ops as ops,
)
from . import (
    optimizers as optimizers,
)
from . import (
    preprocessing as preprocessing,
)
from . import (
    quantizers as quantizers,
)
from . import (
    random as random,
)
from . import (
    regularizers as regularizers,
)
from . import (
    saving as saving,
)
from . import (
    tree as tree,
)
from . import (
    utils as utils,
)
from . import (
    visualization as visualization,
)
from . import (
    wrappers as wrappers,
)
from .core.dtype_policies import DTypePolicy as DTypePolicy
from .core.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
from .core.function import Function as Function
from .core.lifting import custom_gradient as custom_gradient
from .core.lifting import grad as grad
from .core.lifting import jit as jit
from .core.lifting import remat as remat
from .core.lifting import stop_gradient as stop_gradient
from .core.lifting import value_and_grad as value_and_grad
from .core.lifting import vmap as vmap
from .core.op import op as op
from .core.public_scopes import RematScope as RematScope
from .core.public_scopes import StatelessScope as StatelessScope
from .core.public_scopes import SymbolicScope as SymbolicScope
from .core.scopes import device as device
from .core.scopes import name_scope as name_scope
from .core.symbolic import KerasTensor as KerasTensor
from .core.symbolic import Operation as Operation
from .core.variable import Variable as Variable
from .initializers import Initializer as Initializer
from .layers import Input as Input
from .layers import InputSpec as InputSpec
from .layers import Layer as Layer
from .losses import Loss as Loss
from .metrics import Metric as Metric
from .models import Model as Model
from .models import Sequential as Sequential
from .optimizers import Optimizer as Optimizer
from .quantizers import Quantizer as Quantizer
from .regularizers import Regularizer as Regularizer

__version__: str

def version() -> str: ...
