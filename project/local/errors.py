"""The one error that a person at a terminal sees without a traceback."""


class CannotStart(Exception):
    """Something outside Runyard prevents the start; the message says what it is and what to do."""
