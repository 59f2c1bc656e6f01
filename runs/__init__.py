"""Runyard: runs of assistants on threads, accepted under a row lock, executed by Celery, cancelled by revoke."""

__version__ = "0.1.0"
