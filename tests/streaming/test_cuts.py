"""Clients that are cut again and again, on runs that emit thousands of events, over two web processes: the
concatenation of what each has seen is the log."""

import asyncio
import random
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.client import Client, Webs, creator, joiner, logged
from tests.support.factories import make_thread
from tests.support.scale import rounds
from tests.support.stage import wait_until_settled

pytestmark = [pytest.mark.usefixtures("worker", "intact"), pytest.mark.timeout(900)]

#: Fifty clients that come at once to a small machine need a while to be let in again.
RUNS = {"DISCONNECT_GRACE": 10.0}
CLIENTS = rounds(50)
CLIENTS_OF_A_RUN = 5
#: Every run executes while its clients are cut.
CONCURRENCY = max(1, CLIENTS // CLIENTS_OF_A_RUN)
CUTS = 20
COUNT = 3000
#: So that no client comes to the end before its last cut.
MOST_BETWEEN_CUTS = COUNT // CUTS - 10


def body() -> dict[str, Any]:
    """A run that emits for about a second for each client, and is cancelled when its clients leave."""
    given = {"count": COUNT, "burst": 10, "pause": 0.003 * CLIENTS}
    modes = ["custom", "values", "updates"]
    return {"assistant_id": "emitter", "input": given, "on_disconnect": "cancel", "stream_mode": modes}


def test_what_every_client_has_seen_is_the_log(webs: Webs, api: Api) -> None:
    chance = random.Random("cuts")
    sizes = [CLIENTS_OF_A_RUN] * (CLIENTS // CLIENTS_OF_A_RUN) or [CLIENTS]
    firsts = [creator(api.key, make_thread().pk) for _ in sizes]
    clients = asyncio.run(all_clients(webs, list(zip(firsts, sizes, strict=True)), chance))

    assert len(clients) == CLIENTS
    for client in clients:
        run = wait_until_settled(client.run.pk)
        assert (run.status, run.cancelled_by) == ("success", "")
        assert client.events == logged(run)
        assert len(set(client.ids)) == len(client.ids)
        assert [event.data for event in client.events if event.name == "custom"] == list(range(COUNT))
        assert client.names[0] == "metadata"
        assert client.names[-3:] == ["updates", "values", "end"]


async def all_clients(webs: Webs, groups: list[tuple[Client, int]], chance: random.Random) -> list[Client]:
    """Groups of clients on a run each: one creates it, the others join, all are cut and come back."""
    clients = await asyncio.gather(*(group(webs, first, size, chance) for first, size in groups))
    return [client for some in clients for client in some]


async def group(webs: Webs, first: Client, size: int, chance: random.Random) -> list[Client]:
    """The first creates the run; whoever joins it means the same by leaving."""
    await first.read(webs[0].url, create=body(), seconds=0.05)
    others = [joiner(first.key, first.run_path, cancel_on_disconnect=1) for _ in range(size - 1)]
    await asyncio.gather(*(be_cut(client, webs, chance) for client in [first, *others]))
    return [first, *others]


async def be_cut(client: Client, webs: Webs, chance: random.Random) -> None:
    """Be cut after some events, and come back to either web process soon; after the last cut read to the end."""
    for _ in range(CUTS):
        await client.read(chance.choice(webs).url, most=chance.randint(1, MOST_BETWEEN_CUTS))
        assert not client.ended, "the end came before the last cut"
        await asyncio.sleep(chance.choice([0.0, 0.0, 0.01, 0.2]))
    await client.read(chance.choice(webs).url)
    assert client.ended
