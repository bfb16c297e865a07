"""Muon: a momentum whose matrix is made orthogonal."""
