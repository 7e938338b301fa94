"""Tocsin watches the news for policy topics and rings when one moves."""

__version__ = "0.1.0"
