"""Transformers that make features."""
