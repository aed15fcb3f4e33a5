"""A storage whose folder is gone for a while, with an empty mount point in its place."""

from pathlib import Path


def take_away(storage_url: str) -> None:
    """Rename the root away, and leave an empty folder there."""
    root = Path(storage_url.removeprefix("file://"))
    root.rename(root.with_name(f"{root.name}-away"))
    root.mkdir()


def bring_back(storage_url: str) -> None:
    """Undo it; nothing may have been written into the empty folder."""
    root = Path(storage_url.removeprefix("file://"))
    assert [*root.iterdir()] == [], "something was written into a mount point without a storage"
    root.rmdir()
    root.with_name(f"{root.name}-away").rename(root)
