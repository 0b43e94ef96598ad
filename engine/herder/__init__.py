"""The control plane: what connectors there are, what is wanted of them, what becomes of them."""
