"""The ``engine`` command: reads configuration, wires parts, forwards signals; nothing else."""
