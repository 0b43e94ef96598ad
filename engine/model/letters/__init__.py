"""Dead letters as values, and what may be asked of them."""
