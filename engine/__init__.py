"""Kafka Connect with real processes: every task is an operating-system process of its own.

A connector author imports :mod:`engine.api` and nothing else; everything below is the engine's own.
"""

__version__ = "0.1.0"
