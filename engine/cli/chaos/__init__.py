"""``engine chaos``: faults at random times, how long each takes to mend, and what gets lost.

What is done when (``plan``), what counts as mended (``recovery``), what arrived (``lines``) and
what is told of it (``report``) are pure. The rest acts: on an engine of its own (``own_engine``),
or on one that runs already (``live_engine``).
"""
