"""The progress line of the first installation."""

from devstack.install import follow

PIP = """\
Obtaining file:///somewhere
Collecting aiokafka==0.14.0 (from aiokafka[lz4,snappy,zstd]==0.14.0->intelliinspect==0.1.0)
  Using cached aiokafka-0.14.0.whl (1.1 MB)
Requirement already satisfied: pip
Collecting lz4>=3.1.3 (from aiokafka)
Collecting lz4>=3.1.3 (from another)
Installing collected packages: lz4, aiokafka
"""


def test_follow_counts_each_package_once_and_keeps_the_whole_output() -> None:
    output: list[str] = []
    steps = list(follow(PIP.splitlines(keepends=True), output))
    assert [count for count, _ in steps] == [0, 1, 1, 2, 2, 2]
    assert steps[-1][1].startswith("installing collected packages: lz4")
    assert "".join(output) == PIP
