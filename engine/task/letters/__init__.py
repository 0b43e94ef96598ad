"""Dead letters, once they are kept: read, edited, sent again, thrown away."""
