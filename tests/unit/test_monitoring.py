"""The example dashboard, the alerts and the list of metrics name what there is."""

import json
import re
from pathlib import Path

import yaml

from runs.exposition import HEARTBEAT, QUEUE
from runs.metrics import INSTRUMENTS
from runs.metrics.instruments import Counter, Histogram, Instrument
from runs.services.gauges import TEXTS

DOCS = Path(__file__).resolve().parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "monitoring" / "grafana-dashboard.json").read_text())
ALERTS = yaml.safe_load((DOCS / "monitoring" / "alerts.yaml").read_text())


def samples(instrument: Instrument) -> set[str]:
    """The names under which Prometheus knows it."""
    if isinstance(instrument, Histogram):
        return {f"{instrument.name}_{part}" for part in ("bucket", "sum", "count")}
    return {f"{instrument.name}_total" if isinstance(instrument, Counter) else instrument.name}


GAUGES = {*TEXTS, QUEUE, HEARTBEAT}
KNOWN = GAUGES | {name for instrument in INSTRUMENTS for name in samples(instrument)}


def named(text: str) -> set[str]:
    return set(re.findall(r"runyard_\w+", text))


def test_the_dashboard_shows_what_there_is_and_all_of_it() -> None:
    shown = {target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    metrics = set().union(*map(named, shown))

    assert metrics <= KNOWN
    assert {instrument.name for instrument in INSTRUMENTS if samples(instrument) & metrics} == {
        instrument.name for instrument in INSTRUMENTS
    }
    assert metrics & GAUGES == GAUGES


def test_the_panels_do_not_overlap() -> None:
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_alerts_watch_what_there_is() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]

    for rule in rules:
        assert named(rule["expr"]), rule
        assert named(rule["expr"]) <= KNOWN
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
    assert len({rule["alert"] for rule in rules}) == len(rules)


def test_every_metric_is_documented_with_its_labels() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text()
    documented = dict(re.findall(r"^\| `(runyard_\w+)` \| (.*?) ?\|", page, re.MULTILINE))
    listed = {next(iter(samples(each))) if not isinstance(each, Histogram) else each.name for each in INSTRUMENTS}

    assert set(documented) == listed | GAUGES
    for instrument in INSTRUMENTS:
        at = instrument.name if instrument.name in documented else f"{instrument.name}_total"
        assert re.findall(r"`(\w+)`", documented[at]) == list(instrument.known[0])
