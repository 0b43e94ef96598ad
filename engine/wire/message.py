"""The root of the messages between the engine's processes: msgpack, tagged, one per datagram.

Descriptors travel beside a message (SCM_RIGHTS); each class says which, in order. Configurations
are never in a message: they travel as a sealed memfd that the supervisor passes on unread. The
messages themselves are beside this module, by who speaks to whom.
"""

import msgspec

PROTOCOL_VERSION = 1


class Message(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The root of all messages."""
