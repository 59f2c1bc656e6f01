"""Where the processes of one machine leave signs for each other: settings.RUNYARD_STATE_DIR, heartbeats and counters.

Nothing in it must survive: it is private to the user who runs them, and may be a container's /tmp.
"""

import os
from pathlib import Path

from django.conf import settings


def state_directory(name: str) -> Path:
    """The directory of this name, made if need be. Raises OSError if it cannot be, or is somebody else's."""
    root = Path(settings.RUNYARD_STATE_DIR)
    directory = root / name
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to another user")
    return directory


def is_alive(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
