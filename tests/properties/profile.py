"""How hypothesis searches: the same examples each time, derived from the test and not from chance."""

from hypothesis import HealthCheck, Phase, settings


def search(examples: int, *, steps: int) -> settings:
    """So many examples of so many steps. The first failure is the answer: shrinking it on a database takes minutes."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
