"""PyTorch with its compiler: the same loop, the model through `torch.compile`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.frameworks import torch_plain


class Training(torch_plain.Training):
    def prepared(self, model: nn.Module) -> Any:
        return torch.compile(model)
