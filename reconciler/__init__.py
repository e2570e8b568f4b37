"""Declarative reconciler for Linux container networks: topology files in, kernel state out."""

__version__ = "0.1.0"
