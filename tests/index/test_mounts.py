from __future__ import annotations

from pathlib import Path

import pytest

from cachestore.index.mounts import network_filesystem

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:20 / /proc rw,nosuid - proc proc rw
30 22 0:40 / /srv/home rw shared:2 master:3 - nfs4 filer:/home rw,vers=4.2
31 30 8:2 / /srv/home/ana/scratch rw - xfs /dev/sdb rw
32 22 0:41 / /srv/my\040team rw - cifs //filer/team rw
33 22 0:42 / /srv/remote rw - fuse.sshfs ana@host: rw
34 22 0:43 / /srv/lustre rw - lustre mds:/fs rw
35 22 0:44 / /srv/over rw - nfs filer:/over rw
36 35 8:3 / /srv/over rw - ext4 /dev/sdc rw
37 22 0:45 / /srv/host rw - 9p share rw
38 22 0:46 / /srv/disk rw - fuse.ntfs-3g /dev/sdd rw
not a line of this table
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/srv", None),
        ("/srv/home", "nfs4"),
        ("/srv/home/ana/project/.cachestore", "nfs4"),
        ("/srv/home/ana/scratch/x", None),
        ("/srv/homes", None),
        ("/srv/my team/x", "cifs"),
        ("/srv/remote/x/../y", "fuse.sshfs"),
        ("/srv/remote/../x", None),
        ("/srv/lustre", "lustre"),
        ("/srv/over/x", None),
        ("/srv/host/x", "9p"),
        ("/srv/disk/x", None),
    ],
)
def test_the_longest_mount_point_counts(tmp_path: Path, path: str, kind: str | None) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert network_filesystem(Path(path), table) == kind


def test_a_link_counts_as_what_it_points_to(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    (tmp_path / "link").symlink_to("/srv/home")
    assert network_filesystem(tmp_path / "link" / "store", table) == "nfs4"


def test_a_relative_path_counts_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / {tmp_path} rw - nfs filer:/x rw\n")
    monkeypatch.chdir(tmp_path)
    assert network_filesystem(Path("store"), table) == "nfs"


def test_without_a_table_all_is_local(tmp_path: Path) -> None:
    assert network_filesystem(Path("/srv/home"), tmp_path / "none") is None


def test_the_table_of_this_machine_can_be_read(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path) is None
