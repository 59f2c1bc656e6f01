"""What an attempt has left behind may go on starting threads: that it is alive is still found out."""

import threading
import time

from runs.execution.loops.owner import Owner


def test_whether_it_is_alive_can_be_asked_while_it_starts_threads() -> None:
    owner, stop = Owner(), threading.Event()

    def start(thread: threading.Thread) -> None:
        thread.start()

    def spawn() -> None:
        while not stop.is_set():
            owner.start_thread(threading.Thread(target=lambda: None), start)

    spawners = [threading.Thread(target=spawn) for _ in range(2)]
    for one in spawners:
        one.start()
    try:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            owner.is_alive()
    finally:
        stop.set()
        for one in spawners:
            one.join()
