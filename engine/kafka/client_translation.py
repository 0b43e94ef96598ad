"""One key of a Kafka client, in Java's words, as librdkafka's properties. Nothing here does I/O."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from engine.kafka.client_keys import ASSIGNORS, RENAMED

_JAAS_OPTION: Final = re.compile(r"""(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
_WHOLE: Final = re.compile(
    r"(^|[.])(ms|k?bytes|messages|records|size|retries|ttl|threshold)$"
    r"|^max[.]in[.]flight|^compression[.](.+[.])?level$"
)
"""Names of whole numbers. librdkafka reads what comes before the first letter: 3 MB is 3 bytes."""

_FRACTIONS: Final = ("linger.ms", "queue.buffering.max.ms")
_MOST: Final = 2**31 - 1
_ACKS: Final = ("all", "-1", "0", "1")


def translated(name: str, value: str) -> Mapping[str, str]:
    """What librdkafka is told for a key; nothing for one that says what is so anyway.

    Args:
        name: of a client's property, in Java's or librdkafka's words.
        value: as it was written, without blanks around it.

    Raises:
        ValueError: with what was expected.
    """
    if name in _TRANSLATORS:
        return _TRANSLATORS[name](name, value)
    if name in _FRACTIONS:
        _check_fraction(value)
    elif _WHOLE.search(name):
        value = str(_whole(value))
    return {RENAMED.get(name, name): value}


def _whole(text: str, least: int = -_MOST - 1, most: int = _MOST) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"Not a number of type {'INT' if most <= _MOST else 'LONG'}") from None
    if number < least:
        raise ValueError(f"Value must be at least {least}")
    if number > most:
        raise ValueError(f"Value must be at most {most}")
    return number


def _check_fraction(text: str) -> None:
    try:
        float(text)
    except ValueError:
        raise ValueError("Not a number of type DOUBLE") from None


def _buffer_memory(_name: str, text: str) -> Mapping[str, str]:
    size = _whole(text, 0, 1024 * _MOST)
    return {"queue.buffering.max.kbytes": str(max(1, size // 1024))}


def _assignor(name: str) -> str:
    simple = name.strip().rpartition(".")[2]
    found = ASSIGNORS.get(simple, simple)
    if found not in ASSIGNORS.values():
        raise ValueError(f"expected of each: {', '.join(ASSIGNORS)}")
    return found


def _assignors(name: str, value: str) -> Mapping[str, str]:
    return {name: ",".join(_assignor(each) for each in value.split(","))}


def _acks(name: str, value: str) -> Mapping[str, str]:
    """Other numbers are refused by brokers, with every record."""
    if value.lower() not in _ACKS:
        raise ValueError(f"String must be one of: {', '.join(_ACKS)}")
    return {name: value.lower()}


def _jaas(_name: str, text: str) -> Mapping[str, str]:
    """User name and password out of a JAAS line, which only Java reads as it is."""
    options = {
        m[1]: re.sub(r"\\(.)", r"\1", m[2] if m[2] is not None else m[3])
        for m in _JAAS_OPTION.finditer(text)
    }
    if "username" not in options or "password" not in options:
        raise ValueError('expected a login module with username="…" and password="…"')
    return {"sasl.username": options["username"], "sasl.password": options["password"]}


def _store_type(_name: str, value: str) -> Mapping[str, str]:
    if value.upper() not in ("PEM", "PKCS12"):
        raise ValueError("expected PEM or PKCS12; convert a JKS store with keytool -importkeystore")
    return {}


def _store_location(name: str, value: str) -> Mapping[str, str]:
    """A store by its ending: PEM files are what librdkafka reads, PKCS12 for the key only."""
    lowered = value.lower()
    if lowered.endswith(".jks"):
        raise ValueError("JKS stores are Java's own; expected PEM")
    if name == "ssl.truststore.location":
        if lowered.endswith((".p12", ".pfx")):
            raise ValueError("expected a PEM file with the trusted certificates")
        return {"ssl.ca.location": value}
    if lowered.endswith((".p12", ".pfx")):
        return {"ssl.keystore.location": value}
    return {"ssl.certificate.location": value, "ssl.key.location": value}


_TRANSLATORS: Final[Mapping[str, Callable[[str, str], Mapping[str, str]]]] = {
    "sasl.jaas.config": _jaas,
    "acks": _acks,
    "buffer.memory": _buffer_memory,
    "batch.size": lambda name, v: {name: str(max(1, _whole(v, 0)))},  # 0 is a record a batch
    "max.poll.records": lambda name, v: {name: str(_whole(v, 1))},
    "partition.assignment.strategy": _assignors,
    "auto.offset.reset": lambda name, v: {name: "error" if v == "none" else v},
    "ssl.endpoint.identification.algorithm": lambda name, v: {name: v or "none"},
    "enable.idempotence": lambda name, v: {name: v.lower()},
    "ssl.truststore.type": _store_type,
    "ssl.keystore.type": _store_type,
    "ssl.truststore.location": _store_location,
    "ssl.keystore.location": _store_location,
}
