"""Connectors that come with the engine, one package per system; they import ``engine.api`` only."""
