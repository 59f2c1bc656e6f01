"""Cannot be imported: what it needs is not installed."""

import there_is_no_such_package  # noqa: F401
