"""Layers of other libraries as layers of kerata."""
