"""``engine demo``: copies a log file through Kafka and shows it."""
