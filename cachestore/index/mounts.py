"""Which kind of filesystem a path is on."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")

# Where locks and shared memory do not reach the other machines, which SQLite relies on.
_NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.davfs", "fuse.gcsfuse",
        "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
        "glusterfs", "gpfs", "lustre", "moosefs", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs",
        "pvfs2", "smb3", "smbfs", "weka", "wekafs",
    }
)  # fmt: skip


def network_filesystem(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the network filesystem that a path is on; None when it is on a local one.

    Parameters
    ----------
    path
        A file or folder, which need not exist yet.
    mounts
        The table of mounted filesystems. Where the system has none, everything counts as local.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    target = path.absolute().resolve()
    best, kind = -1, ""
    for line in lines:
        # "36 35 98:0 /root /mount/point options ... - type source options"
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = Path(_unescaped(fields[4]))
        depth = len(point.parts)
        # Of two mounts at one point the later one is seen.
        if depth >= best and target.is_relative_to(point):
            best, kind = depth, after.split(" ")[0]
    return kind if kind in _NETWORK else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
