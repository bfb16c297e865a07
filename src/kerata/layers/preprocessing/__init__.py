"""Layers that turn text, categories, numbers and sound into what a network takes."""
