"""Processes: making, watching, ending and restarting them. Runs nobody else's code.

One thread, one asyncio loop. What is to be done is decided in :mod:`engine.model.lifecycle`, and
done here. Imports the standard library and msgspec, nothing else.
"""
