"""A sink task: from consumed messages to its puts and commits."""
