"""Everything here happens in real workers, so it happens in committed rows."""

from tests.support.fixtures import intact  # noqa: F401 - fixtures
from tests.support.stage import db, stage, swept  # noqa: F401 - fixtures
