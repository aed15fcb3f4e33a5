"""What the Parquet of a file holds and how it came to be read so: kept beside it, so that a stored file need not be
read again."""

from schemas.manifests import Manifest, Notice

CONTENT = "content.json"


class ReadColumn(Manifest):
    """A column as stored. `number` tells float64 from text; unread values are those that were taken for missing, the
    first with lines."""

    name: str
    number: bool
    missing: int
    constant: bool
    reason: str | None = None
    unread: int = 0
    unread_lines: tuple[int, ...] = ()
    unread_values: tuple[str, ...] = ()


class Content(Manifest):
    """A file's content. `separator`, `decimal`, `encoding` are as found or given; `index` is the first column if it had
    no name."""

    columns: list[ReadColumn]
    rows: int
    encoding: str
    encoding_reason: str
    separator: str
    decimal: str
    thousands: str | None
    header_line: int
    index: str | None = None
    notices: tuple[Notice, ...] = ()
    label: str | None = None

    def by_name(self) -> dict[str, ReadColumn]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    @property
    def names(self) -> list[str]:
        """The columns' names in file order."""
        return [column.name for column in self.columns]

    @property
    def missing(self) -> dict[str, int]:
        """Missing values by column."""
        return {column.name: column.missing for column in self.columns}
