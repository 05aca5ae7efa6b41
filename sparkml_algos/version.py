"""The version of the package, alone so that setup.py can read it."""

__version__ = "0.1.0"
