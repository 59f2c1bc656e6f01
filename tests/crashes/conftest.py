"""Everything here happens in real workers, so it happens in committed rows."""

from tests.support.fixtures import intact as intact
from tests.support.stage import db as db
from tests.support.stage import stage as stage
