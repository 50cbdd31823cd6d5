"""Encode images and find the nearest codes."""

from tripletnet.retrieval.nearest import nearest

__all__ = ["nearest"]
