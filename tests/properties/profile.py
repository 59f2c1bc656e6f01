"""How hypothesis searches: the same examples each time, derived from the test and not from chance."""

from hypothesis import HealthCheck, Phase, settings


def search(examples: int, *, steps: int, shrink: bool = True) -> settings:
    """So many examples of so many steps; without shrinking the first failure is the answer."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
