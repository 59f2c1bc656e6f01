"""A broken invariant."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One row that breaks one invariant, as in "I2 run 0190...: is running and not leased"."""

    invariant: str
    #: Table and primary key.
    row: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.row}: {self.what}"
