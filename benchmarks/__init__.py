"""Measurements of speed, each beside what it is compared with; they are no part of the package."""
