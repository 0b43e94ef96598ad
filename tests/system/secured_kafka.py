"""A real broker with authentication (SASL/PLAIN) and ACLs, and users of different rights."""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from engine.kafka.embedded.broker_process import run_broker

ADMIN: Final = "admin"
_LOGIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule required"


def password(user: str) -> str:
    """What a user of the broker has; it stands nowhere else."""
    return f'{user}-Pa;ss"w\\rd'


def jaas(user: str, secret: str | None = None) -> str:
    """A user as it stands in a properties file of Kafka, where a backslash is written twice."""
    secret = password(user) if secret is None else secret
    quoted = secret.replace("\\", "\\\\").replace('"', '\\"').replace("\\", "\\\\")
    return f'{_LOGIN} username="{user}" password="{quoted}";'


def login(prefix: str, user: str, secret: str | None = None) -> dict[str, str]:
    """The three keys with which users of Kafka Connect say who a client is."""
    return {
        f"{prefix}security.protocol": "SASL_PLAINTEXT",
        f"{prefix}sasl.mechanism": "PLAIN",
        f"{prefix}sasl.jaas.config": jaas(user, secret),
    }


class SecuredKafka:
    """What tests do with it as its administrator.

    Attributes:
        address: ``host:port``.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def client(self, user: str = ADMIN) -> dict[str, Any]:
        """librdkafka's properties of a user."""
        return {
            "bootstrap.servers": self.address, "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN", "sasl.username": user, "sasl.password": password(user),
        }  # fmt: skip

    def allow(self, user: str, kind: str, *operations: str) -> None:
        """Let a user do something to all of a kind: TOPIC or GROUP."""
        bindings = [
            AclBinding(
                ResourceType[kind], "*", ResourcePatternType.LITERAL, f"User:{user}", "*",
                AclOperation[each], AclPermissionType.ALLOW,
            )
            for each in operations
        ]  # fmt: skip
        admin = AdminClient(self.client())
        for done in admin.create_acls(bindings).values():
            done.result(30)

    def create(self, topic: str) -> None:
        """Make a topic of one partition."""
        admin = AdminClient(self.client())
        admin.create_topics([NewTopic(topic, 1)])[topic].result(30)

    def partitions(self, topic: str) -> Collection[int]:
        """Of a topic, none where there is no such topic."""
        return AdminClient(self.client()).list_topics(topic, timeout=30).topics[topic].partitions


@contextlib.contextmanager
def secured_kafka(directory: Path, cache_dir: Path, users: Iterable[str]) -> Iterator[SecuredKafka]:
    """A broker that knows these users, who may do nothing until they are allowed to."""
    with run_broker(directory, cache_dir, properties=_properties((ADMIN, *users))) as broker:
        yield SecuredKafka(broker.address)


def _properties(users: Iterable[str]) -> Mapping[str, str]:
    """The listener keeps its name, PLAINTEXT; the controller's stays open and is nobody's."""
    known = " ".join(f'user_{user}="{_quoted(password(user))}"' for user in users)
    own = f'username="{ADMIN}" password="{_quoted(password(ADMIN))}"'
    return {
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.plaintext.plain.sasl.jaas.config": f"{_LOGIN} {own} {known};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
        "auto.create.topics.enable": "false",
    }


def _quoted(secret: str) -> str:
    return secret.replace("\\", "\\\\").replace('"', '\\"')
