"""The HTTP API: Kafka Connect's own resources, ours under ``/engine/``, and the metrics page.

Everything goes through :class:`engine.herder.herder.Herder`; nothing here decides anything.
"""
