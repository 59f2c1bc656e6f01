"""How root runs PostgreSQL, which refuses to run as root.

The child becomes `nobody` (or the owner of the data directory) and keeps one capability: to pass through directories
that only root may enter, such as a home under /root. Nothing outside the data directory changes its owner or its
mode, and no account is created. The directory itself stays closed to everybody else.
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path

from project.local.errors import CannotStart

_PR_CAPBSET_READ, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 23, 28, 47, 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2  # else access(2), which initdb asks about its own files, ignores the capability
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be imported between fork and exec


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySet(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def unprivileged_owner(directory: Path) -> pwd.struct_passwd | None:
    """Whom to become so that PostgreSQL accepts `directory`; None where the caller is not root."""
    if os.geteuid() != 0:
        return None
    owner = directory.stat().st_uid if directory.exists() else 0
    try:
        return pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError:
        raise CannotStart(
            "PostgreSQL refuses to run as root, and this system has no account 'nobody' to run it as. "
            "Run as an ordinary user, or give DATABASE_URL."
        ) from None


def become(account: pwd.struct_passwd) -> None:
    """Turn this process, a fork of root, into `account` for good. Call it between fork and exec."""
    capability = _passage_capability() if sys.platform == "linux" else None
    if capability is not None:
        _libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if capability is not None:
        _keep_only(capability)


def _passage_capability() -> int | None:
    """The smaller of the two capabilities that this machine grants; containers usually grant the second."""
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        if _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
            return capability
    return None


def _keep_only(capability: int) -> None:
    # A failure is not fatal: where the way is open to everybody the capability is not needed, and elsewhere
    # PostgreSQL itself says which directory it cannot enter.
    mask = 1 << capability
    header = _CapabilityHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    sets = (_CapabilitySet * 2)(_CapabilitySet(mask, mask, mask), _CapabilitySet(0, 0, 0))
    _libc.capset(ctypes.byref(header), ctypes.byref(sets))
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)
