"""``engine doctor``: what of the machine, the worker's file and the running engine is to be mended.

Each check gathers facts and judges them by a function of its own without I/O, which gives findings.
"""
