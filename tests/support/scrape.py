"""What a scrape says: samples by name and labels, as Prometheus' own parser reads them."""

from dataclasses import dataclass
from typing import Self

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scrape:
    """One answer of /metrics."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    families: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse the text; fails if it is not Prometheus' format."""
        families = list(text_string_to_metric_families(text))
        samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }
        return cls(samples, frozenset(family.name for family in families))

    @classmethod
    def at(cls, url: str, token: str = "") -> Self:
        """Ask this address."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = httpx.get(f"{url}/metrics", headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return cls.of(answer.text)

    def value(self, name: str, **labels: str) -> float:
        """The value of this sample; 0 if there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def by(self, name: str, *wanted: str) -> dict[tuple[str, ...], float]:
        """The samples of this name, summed by the values of these labels; zeros are left out."""
        found: dict[tuple[str, ...], float] = {}
        for (sample, labels), value in self.samples.items():
            if sample == name and value:
                at = tuple(dict(labels)[label] for label in wanted)
                found[at] = found.get(at, 0.0) + value
        return found
