"""Where control groups can be made, by what the kernel's tables say on different machines."""

import pytest

from engine.model.cgroup_layout import Hierarchy, hierarchies

DEBIAN_12 = (
    "24 30 0:22 / /proc rw,nosuid - proc proc rw\n"
    "31 24 0:27 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
)
HYBRID = (
    "40 30 0:30 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "41 40 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 - cgroup cgroup rw,cpu,cpuacct\n"
    "42 40 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "43 40 0:33 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
    "44 40 0:34 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "45 40 0:35 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def test_version_2_alone() -> None:
    own = "0::/system.slice/engine.service\n"

    assert hierarchies(DEBIAN_12, own) == (
        Hierarchy(2, "/sys/fs/cgroup/system.slice/engine.service"),
    )


def test_version_1_beside_an_empty_version_2() -> None:
    own = "12:cpu,cpuacct:/system.slice\n4:memory:/process/7\n3:blkio:/\n1:name=systemd:/\n0::/x\n"

    assert hierarchies(HYBRID, own) == (
        Hierarchy(1, "/sys/fs/cgroup/cpu,cpuacct/system.slice", frozenset({"cpu"})),
        Hierarchy(1, "/sys/fs/cgroup/memory/process/7", frozenset({"memory"})),
        Hierarchy(1, "/sys/fs/cgroup/blkio", frozenset({"io"})),
        Hierarchy(2, "/sys/fs/cgroup/unified/x"),
    )


def test_a_container_that_sees_only_its_part_of_the_tree() -> None:
    mounts = (
        "50 40 0:27 /docker/4f2a /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"
        "51 40 0:28 /docker/4f2a/a\\040b /mnt/odd\\011place rw - cgroup2 cgroup rw\n"
    )

    assert hierarchies(mounts, "0::/docker/4f2a/a b/c\n") == (
        Hierarchy(2, "/sys/fs/cgroup/a b/c"),
        Hierarchy(2, "/mnt/odd\tplace/c"),
    )


def test_a_group_that_is_not_below_what_is_mounted_is_out_of_reach() -> None:
    mounts = "50 40 0:27 /docker/4f2a /sys/fs/cgroup rw - cgroup2 cgroup rw\n"

    assert hierarchies(mounts, "0::/docker/4f2abc\n") == ()
    assert hierarchies(mounts, "0::/../other\n") == ()


@pytest.mark.parametrize("mounts", ["", "nonsense\n", "1 2 3:4 / / rw - ext4 /dev/sda rw\n"])
def test_a_machine_without_control_groups_has_none(mounts: str) -> None:
    assert hierarchies(mounts, "") == ()
