"""A channel to Redis keeps one client for as long as it has the same connections."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from kombu import Connection
from kombu.transport.redis import Channel

from runs.broker import keep_clients


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Of a worker's connection to the broker."""
    made_by: Any = Channel
    monkeypatch.setattr(made_by, "_create_client", made_by._create_client)
    keep_clients()
    with Connection(settings.REDIS_URL) as connection:
        yield connection.channel()


def client_of(channel: Any) -> Any:
    with channel.conn_or_acquire() as client:
        assert client.ping()
        return client


def test_what_a_channel_sends_is_sent_by_one_client(channel: Any) -> None:
    assert client_of(channel) is client_of(channel)
    assert client_of(channel) is not channel.client


def test_a_channel_that_reconnects_has_another(channel: Any) -> None:
    former = client_of(channel)
    channel._disconnect_pools()
    assert client_of(channel) is not former
    assert client_of(channel).connection_pool is channel.pool


def test_two_channels_share_none(channel: Any) -> None:
    assert client_of(channel.connection.create_channel(channel.connection)) is not client_of(channel)
