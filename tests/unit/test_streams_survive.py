"""A frame that cannot be sent is its own run's loss: the thread that all writers of a loop process share goes on."""

import json
import os
from pathlib import Path
from uuid import uuid4

import pytest

from runs.execution import stream_writer
from runs.execution.stream_writer import SharedThread, StreamWriter
from runs.jsonvalues import check_storable
from runs.streaming import log
from runs.streaming.connection import writer as redis_writer


def test_a_path_that_is_no_text_is_json_that_can_be_stored() -> None:
    from runs.execution.graphs.jsonable import jsonable

    shown = jsonable({"file": Path(os.fsdecode(b"caf\xe9.txt"))})
    check_storable(shown)
    assert json.dumps(shown, ensure_ascii=False).encode() == rb'{"file": "caf\\udce9.txt"}'


@pytest.mark.filterwarnings("default")
def test_a_frame_that_cannot_be_sent_stops_no_other_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_writer._Posts, "post", SharedThread())
    bad, good = StreamWriter(uuid4(), 1), StreamWriter(uuid4(), 1)
    bad.write("custom", {"file": "caf\udce9.txt"})
    bad.close(1.0)
    good.write("custom", {"page": 1})
    assert good.close(5.0) == 0
    assert redis_writer().xlen(log.key(good._run_id)) == 1
