"""Converters between Kafka's bytes and Connect's data; each is a plugin like anybody's."""
