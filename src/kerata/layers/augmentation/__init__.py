"""Layers that frame, turn, colour and mix images."""
