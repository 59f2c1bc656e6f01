"""A worker outlives the loss of its broker while it executes runs.

When kombu 5.7 has given up a connection to Redis it has forgotten the address, too. Channels of that connection are
still used: to give messages back when they are closed, and to acknowledge a run's message when it has ended. Both fail
with an AttributeError that nobody expects, and the worker would end. As a lost connection it is expected by all. The
message is not missed: a run that ended is terminal, and one that did not is dispatched again.
"""

from typing import Any

import redis
from kombu.transport.redis import Channel


def survive_lost_connections() -> None:
    """To be called once, in the main process, before it consumes."""
    channel: Any = Channel
    parameters = channel._connparams

    def parameters_if_known(self: Any, *args: Any, **options: Any) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise redis.ConnectionError("the connection of this channel was lost and given up")
        return parameters(self, *args, **options)

    channel._connparams = parameters_if_known
