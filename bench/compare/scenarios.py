"""What is measured, in this order, and how long each takes on two cores, about: for the estimate at the beginning."""

from dataclasses import dataclass, replace

from bench.compare import crowds, idle, single
from bench.compare.sampling import Scenario


@dataclass(frozen=True)
class Measurement:
    """One scenario."""

    run: Scenario
    seconds: float
    title: str
    #: In the first round only.
    once: bool = False


SCENARIOS = {
    "create": Measurement(single.create_to_done, 10, "One run without work, to its result"),
    "stream": Measurement(single.streaming, 4, "One run without work, streamed to its end"),
    "long": Measurement(single.long_streams, 6, "Long streams"),
    "cancel": Measurement(single.cancelling, 9, "Cancel and hand over"),
    "throughput": Measurement(crowds.throughput, 40, "Throughput"),
    "queue": Measurement(crowds.queue, 8, "A queue on one thread"),
    "waiting": Measurement(crowds.waiting_for_a_model, 15, "Many runs that wait two seconds each"),
    "idle": Measurement(idle.idle_streams, 50, "Idle streams"),
    "tenants": Measurement(crowds.two_tenants, 15, "Two tenants, of which one floods"),
}
#: Of Runyard alone, in databases of different sizes.
GROWTH = {
    **{name: SCENARIOS[name] for name in ("create", "stream", "cancel", "throughput")},
    "histories": Measurement(single.histories, 10, "Threads that have a history"),
    **{name: replace(SCENARIOS[name], once=True) for name in ("long", "queue", "waiting", "idle", "tenants")},
}
