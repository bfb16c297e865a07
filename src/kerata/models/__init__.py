"""Models: Sequential, functional, subclassed; cloning; JSON."""

from kerata.models.cloning import clone_model, model_from_json
from kerata.models.functional import Functional
from kerata.models.model import Model
from kerata.models.sequential import Sequential
from kerata.saving import load_model, save_model

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
