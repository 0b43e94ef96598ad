"""Stores of configurations, statuses and offsets. What is acknowledged here survives a kill."""
