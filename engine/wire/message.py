"""The root of the messages between the engine's processes: msgpack, tagged, one per datagram.

Descriptors travel beside a message (SCM_RIGHTS); each class says which, in order. Configurations
are never in a message: they travel as a sealed memfd that the supervisor passes on unread. The
messages themselves are beside this module, by who speaks to whom.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

PROTOCOL_VERSION = 1

# reading the types' annotations is most of a first decoding: the zygote does it for all
decoder_of: "Callable[[Any], msgspec.msgpack.Decoder[Any]]" = cache(msgspec.msgpack.Decoder)
"""The decoder of a type, or of a union of messages."""


class Message(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The root of all messages."""
