"""The official Python client, unmodified, whose web process is replaced in the middle of a stream."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from project.local.running import RunningServer
from tests.contract.answers import END, begun, shown, status, take, wait_for_status
from tests.contract.assistants import registrations
from tests.contract.conftest import Gates
from tests.contract.proxy import CuttingProxy
from tests.contract.test_python_streams import TWO_STEPS, in_the_middle
from tests.support.server import ServerProcess

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def old(live: RunningServer, tmp_path: Path) -> Iterator[ServerProcess]:
    """A web process whose successor is the one of `live`, with which it shares the engines and the worker."""
    known = live.home.values()
    shared: dict[str, Any] = {name: known[name] for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY")}
    with ServerProcess(tmp_path, RUNYARD_ASSISTANTS=registrations(), **shared) as process:
        yield process


@pytest.mark.parametrize("how", ["stop, the run ends meanwhile", "stop", "kill"])
def test_a_stream_goes_on_through_the_successor_of_its_web_process(
    connect: Callable[..., Any], live: RunningServer, old: ServerProcess, gates: Gates, how: str
) -> None:
    """A deploy, and a crash: nobody left, so nothing is cancelled, although leaving would cancel.

    A run that ends before its client has noticed anything is the hard case: the client must not think that it has
    seen everything.
    """
    with CuttingProxy(old.url) as proxy:
        sdk = connect(proxy.url)
        thread_id, stream, early = in_the_middle(sdk, gates)
        run_id = early[0].data["run_id"]
        getattr(old, how[:4])()
        proxy.lead_to(live.url)
        if how.endswith("meanwhile"):
            gates.open(1)
            wait_for_status(sdk, thread_id, run_id, "success")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the client says so when events may have been missed
            gates.open(1)
            late = list(stream)

        assert shown([*early, *late]) == [begun(run_id), *TWO_STEPS, END]
        assert [part.id for part in [*early, *late]][:-1] == [f"1-{number}" for number in range(7)]
        assert status(sdk, thread_id, run_id) == "success"
    assert "Traceback" not in old.log


def test_a_stream_of_a_thread_goes_on_through_the_successor_of_its_web_process(
    connect: Callable[..., Any], live: RunningServer, old: ServerProcess, gates: Gates
) -> None:
    with CuttingProxy(old.url) as proxy:
        sdk = connect(proxy.url)
        thread_id = sdk.threads.create()["thread_id"]
        given = {"count": 2, "gates": str(gates.directory)}
        run_id = sdk.runs.create(thread_id, "steps", input=given)["run_id"]
        stream = sdk.threads.join_stream(thread_id, stream_mode="lifecycle")
        early = take(stream, *begun(run_id))
        old.stop()
        proxy.lead_to(live.url)
        gates.open(0, 1)
        late = take(stream, "metadata", {"status": "run_done", "run_id": run_id})
        stream.close()

        assert [len(early), len(late)] == [1, 1]
