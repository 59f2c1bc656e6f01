"""What Runyard wants to reach, and whether it has, computed from the numbers of a report."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.compare.results import OURS, Results
from bench.growth import SIZES

AEGRA = ("aegra", "aegra-workers")
#: KiB of a stream, pages and time of the largest table to the smallest.
OF_TIME = ("ms", "runs/s", "x ideal")
STREAM_KIB, BUFFERS, TIME = 30.0, 1.2, 1.5


@dataclass(frozen=True)
class Verdict:
    """`reached` is None where a number is missing."""

    target: str
    found: str
    reached: bool | None

    @property
    def word(self) -> str:
        """Of the report."""
        return "not measured" if self.reached is None else "yes" if self.reached else "**no**"


def verdicts(results: Results) -> list[Verdict]:
    """Every target."""
    return [verdict for check in _CHECKS for verdict in check(results)]


def _beside_the_best(results: Results) -> Iterator[Verdict]:
    """Ours, with the better pool, to the best peer."""
    for name, target, limit in (
        ("runs/wait, no work", "create to done (`POST runs/wait`), no work, p50: 0.5 x the best peer", 0.5),
        ("16 clients, wait", "runs per second, 16 clients, `wait`: 5 x the best", 5.0),
        ("16 clients, stream", "runs per second, 16 clients, stream to the end: 5 x the best", 5.0),
        ("stream: first event", "first event, p50: 0.5 x the best", 0.5),
    ):
        row = results.row("servers", name)
        ratio = row.ratio() if row else None
        if row is None or ratio is None:
            yield Verdict(target, "", None)
        else:
            reached = ratio >= limit if row.more_is_better else ratio <= limit
            yield Verdict(target, f"{ratio:.2f} x", reached)


def _cancel(results: Results) -> Iterator[Verdict]:
    target = "cancel, wait, p50: under 30 ms, and under 0.1 x Aegra"
    for name, words, share, limit in (
        ("cancel, wait=1", target, 0.1, 30.0),
        ("cancel, until interrupted", "cancel to interrupted, p50: 0.5 x Aegra", 0.5, float("inf")),
    ):
        row = results.row("servers", name)
        ours, theirs = (row.best(OURS), row.best(AEGRA)) if row else (None, None)
        if ours is None or theirs is None:
            yield Verdict(words, "", None)
            continue
        ratio = ours[1] / theirs[1]
        yield Verdict(words, f"{ours[1]:.1f} ms ({ours[0]}), {ratio:.2f} x", ours[1] < limit and ratio <= share)


def _waiting(results: Results) -> Iterator[Verdict]:
    words = "512 runs that wait 2 s each: within 1.5 x the ideal, on workers under 1 GiB in all"
    time, memory = (results.row("servers", f"512 runs of 2 s at once{what}") for what in ("", ": memory"))
    ours = time.best(OURS) if time else None
    if ours is None or memory is None:
        yield Verdict(words, "", None)
        return
    held = memory.medians()[ours[0]]
    found = f"{ours[1]:.2f} x, {held:.0f} MiB with web, scheduler and Flower ({ours[0]})"
    yield Verdict(words, found, ours[1] <= 1.5 and held < 1024)  # noqa: PLR2004


def _streams(results: Results) -> Iterator[Verdict]:
    words = f"memory per idle stream: under {STREAM_KIB:.0f} KiB, 5,000 on one web process"
    found = results.last("streams")
    if not found or found[0]["found"]["streams"] < 5000:  # noqa: PLR2004
        yield Verdict(words, "", None)
        return
    each = found[0]["found"]["kib_per_stream"]
    yield Verdict(words, f"{each} KiB, each stream of a run of its own", each < STREAM_KIB)


def _plans(results: Results) -> Iterator[Verdict]:
    words = "growth 10,000 to 5,000,000: {}"
    rows = [line["row"] for line in results.last("plans") if _all_sizes(line["sizes"])]
    if not rows:
        yield Verdict(words.format("same plans, buffers, time"), "", None)
        return
    other = sum(row["plans"] != "same" for row in rows)
    yield Verdict(words.format("same plans"), f"{len(rows) - other} of {len(rows)} are", not other)
    for column, what, limit in (("ratio", "buffers", BUFFERS), ("ratio of ms", "time in the database", TIME)):
        found = _worst(
            [(f"{row['operation']} {row['runs on the thread']}".strip(), row[column]) for row in rows], limit
        )
        yield Verdict(words.format(f"at most {limit} x the {what} per operation"), *found)


def _grown(results: Results) -> Iterator[Verdict]:
    words = f"growth 10,000 to 5,000,000: time of a request at most {TIME} x"
    rows = [row for row in results.measured("growth") if row.unit in OF_TIME and _all_sizes(map(int, row.values))]
    ratios = [(row.name, ratio) for row in rows if (ratio := row.growth()) is not None]
    yield Verdict(words, *_worst(ratios, TIME)) if ratios else Verdict(words, "", None)


def _worst(ratios: Sequence[tuple[str, float]], limit: float) -> tuple[str, bool]:
    name, most = max(ratios, key=lambda one: one[1])
    over = sum(ratio > limit for _, ratio in ratios)
    return f"at most {most:.2f} ({name}); {over} of {len(ratios)} are over", over == 0


def _all_sizes(sizes: Iterable[int]) -> bool:
    found = set(sizes)
    return {min(SIZES), max(SIZES)} <= found


_CHECKS: tuple[Callable[[Results], Iterator[Verdict]], ...] = (
    _beside_the_best,
    _cancel,
    _waiting,
    _streams,
    _plans,
    _grown,
)
