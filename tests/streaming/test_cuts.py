"""Clients that are cut again and again, on runs that emit thousands of events, over two web processes: the
concatenation of what each has seen is the log."""

import asyncio
import random
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.client import Client, creator, joiner, logged
from tests.support.factories import make_thread
from tests.support.scale import rounds
from tests.support.server import ServerProcess
from tests.support.stage import wait_until_settled

pytestmark = pytest.mark.usefixtures("worker", "intact")

Webs = tuple[ServerProcess, ServerProcess]
#: A crowd on a small machine needs a while to be let in again.
RUNS = {"DISCONNECT_GRACE": 5.0}
CLIENTS = rounds(50)
CLIENTS_OF_A_RUN = 5
CUTS = 20
#: About five seconds of it.
LONG = {"count": 3000, "burst": 10, "pause": 0.015}


def body(mode: str, **given: Any) -> dict[str, Any]:
    """A run that emits, and what becomes of it when its clients leave."""
    modes = ["custom", "values", "updates"]
    return {"assistant_id": "emitter", "input": given, "on_disconnect": mode, "stream_mode": modes}


@pytest.mark.parametrize("mode", ["cancel", "continue"])
@pytest.mark.timeout(300)
def test_what_every_client_has_seen_is_the_log(webs: Webs, api: Api, mode: str) -> None:
    chance = random.Random(mode)
    sizes = [CLIENTS_OF_A_RUN] * (CLIENTS // CLIENTS_OF_A_RUN) or [CLIENTS]
    firsts = [creator(api.key, make_thread().pk) for _ in sizes]
    clients = asyncio.run(all_clients(webs, mode, list(zip(firsts, sizes, strict=True)), chance))

    for client in clients:
        run = wait_until_settled(client.run.pk)
        assert (run.status, run.cancelled_by) == ("success", "")
        assert client.ended
        assert client.events == logged(run)
        assert len(set(client.ids)) == len(client.ids)
        assert [event.data for event in client.events if event.name == "custom"] == list(range(LONG["count"]))
        assert client.names[0] == "metadata"
        assert client.names[-3:] == ["updates", "values", "end"]


async def all_clients(webs: Webs, mode: str, groups: list[tuple[Client, int]], chance: random.Random) -> list[Client]:
    """Groups of clients on a run each: one creates it, the others join, all are cut and come back."""
    clients = await asyncio.gather(*(group(webs, mode, first, size, chance) for first, size in groups))
    return [client for some in clients for client in some]


async def group(webs: Webs, mode: str, first: Client, size: int, chance: random.Random) -> list[Client]:
    """The first creates the run; who joins means by leaving what the run's mode says."""
    await first.read(webs[0].url, create=body(mode, **LONG), seconds=0.05)
    cares = int(mode == "cancel")
    others = [joiner(first.key, first.run_path, cancel_on_disconnect=cares) for _ in range(size - 1)]
    await asyncio.gather(*(be_cut(client, webs, chance) for client in [first, *others]))
    return [first, *others]


async def be_cut(client: Client, webs: Webs, chance: random.Random) -> None:
    """Be cut after some events or some time, and come back to any of the web processes soon; then read to the end."""
    for _ in range(CUTS):
        web = chance.choice(webs)
        await client.read(web.url, most=chance.randint(1, 200), seconds=chance.uniform(0.01, 0.3))
        await asyncio.sleep(chance.choice([0.0, 0.0, 0.01, 0.2]))
    while not client.ended:
        await client.read(chance.choice(webs).url)
