"""What an attempt has left behind may go on starting threads: that it is alive is still found out."""

import threading
from functools import partial

from runs.execution.loops.owner import Owner


def test_a_thread_is_not_added_while_somebody_looks_whether_the_attempt_is_alive() -> None:
    """Who looks goes through all threads, and one that were added meanwhile would end that with an error."""
    owner, begun, end = Owner(), threading.Event(), threading.Event()
    started = threading.Thread(target=end.wait, args=(30,))

    def start(thread: threading.Thread) -> None:
        thread.start()
        begun.set()

    starter = threading.Thread(target=partial(owner.start_thread, started, start))
    with owner._lock:
        starter.start()
        assert begun.wait(30)
        starter.join(0.2)
        assert (starter.is_alive(), owner._threads) == (True, set())
    starter.join(30)
    assert owner._threads == {started}
    assert owner.is_alive()
    end.set()
    started.join(30)
    assert not owner.is_alive()
