"""What is installed, found by its name, and made ready: plugins and config providers."""
