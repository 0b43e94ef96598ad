"""The only door to the Kafka client library, and the embedded broker beside it."""
