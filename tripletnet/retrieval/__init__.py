"""Encode images and find the nearest codes."""
