"""A run that a request is about to create and to wait for: watched from before it exists.

Whoever subscribes later has to ask the database for what was missed meanwhile, each time, and for nothing.
"""

from functools import partial

from runs.api.presence import Presence, current_presence
from runs.models import new_id
from runs.streaming.hub import Hub, hub
from runs.streaming.watch import Watch


class Expected:
    """For the thread of the view. The watch ends with the request, whatever becomes of the run."""

    def __init__(self) -> None:
        self.run_id = new_id()
        #: Has heard everything that was announced of the run; None: nobody has listened in time.
        self.watch: Watch | None = None
        self._begun: tuple[Hub, Watch] | None = None
        if (client := current_presence()) is not None:
            client.loop.call_soon_threadsafe(self._begin, client)

    def before_commit(self) -> None:
        """To be called when the run is not committed yet: what is announced of it comes after this."""
        if self._begun is None:
            return
        ours, watch = self._begun
        if ours.is_subscribed(watch.channel):
            watch.forget_wakes()
            self.watch = watch

    def _begin(self, client: Presence) -> None:
        ours = hub()
        watch = ours.expect(self.run_id)
        client.when_over(partial(ours.end_watch, watch))
        self._begun = ours, watch
