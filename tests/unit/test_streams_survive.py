"""A frame that cannot be sent is its own run's loss: the thread that all writers of a process share goes on."""

import json
import os
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from runs.dispatch import MESSENGER
from runs.execution.stream_writer import StreamWriter
from runs.jsonvalues import check_storable
from runs.streaming import log
from runs.streaming.connection import writer as redis_writer


def test_a_path_that_is_no_text_is_json_that_can_be_stored() -> None:
    from runs.execution.graphs.jsonable import jsonable

    shown = jsonable({"file": Path(os.fsdecode(b"caf\xe9.txt"))})
    check_storable(shown)
    assert json.dumps(shown, ensure_ascii=False).encode() == rb'{"file": "caf\\udce9.txt"}'


@pytest.mark.filterwarnings("default")
def test_a_frame_that_cannot_be_sent_stops_no_other_stream() -> None:
    bad, good = StreamWriter(uuid4(), 1), StreamWriter(uuid4(), 1)
    bad.write("custom", {"file": "caf\udce9.txt"})
    bad.close(1.0)
    good.write("custom", {"page": 1})
    assert good.close(5.0) == 0
    assert redis_writer().xlen(log.key(good._run_id)) == 1


def test_all_writers_of_a_process_share_a_thread() -> None:
    for _ in range(2):
        writer = StreamWriter(uuid4(), 1)
        writer.write("custom", {"page": 1})
        assert writer.close(5.0) == 0
    assert [thread.name for thread in threading.enumerate()].count(f"{MESSENGER}-streams") == 1


def test_a_forked_child_writes_from_a_thread_of_its_own() -> None:
    """It has inherited none."""
    StreamWriter(uuid4(), 1).write("custom", {"page": 1})
    child = StreamWriter(uuid4(), 1)
    if (pid := os.fork()) == 0:
        child.write("custom", {"page": 2})
        child.close(5.0)
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert redis_writer().xlen(log.key(child._run_id)) == 1
