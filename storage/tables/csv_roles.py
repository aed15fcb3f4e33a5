"""Which columns are to stay as they are written: labels, ids, times. Decided by names and the first rows, before any
number is parsed."""

import re
from collections.abc import Sequence

import polars as pl

from storage.tables.label_names import label_candidates
from storage.tables.labels import canonical
from storage.tables.names import column
from storage.tables.options import SYNTHETIC, DatasetOptions, plain_name
from storage.tables.time_names import is_hinted, is_named
from storage.tables.times import SAMPLED, find_number_style

ID_NAMES = (
    *("id", "sample id", "sampleid", "part id", "unit id", "product id", "row id", "uid", "udi", "uuid", "guid"),
    *("serial", "serial number", "serial no", "serialnumber", "part no", "part number", "part nr", "barcode"),
    *(
        "nr",
        "nummer",
        "seriennummer",
        "serien nr",
        "teilenummer",
        "teile nr",
        "번호",
        "编号",
        "序号",
        "番号",
        "no",
        "номер",
    ),
)
"""Names of identifiers, best first, after `plain_name`; such a column stays text, so that 007 and 20-digit numbers keep
their spelling."""
ID_WORDS = re.compile(r"\b(id|ids|no|nr|num|number|nummer|code|serial|sn|part|lot|batch|barcode|charge|ean|uid)\b")
LONG_DIGITS, LEADING_ZERO, WHOLE = r"^\s*\d{16,}\s*$", r"^\s*0\d+\s*$", r"^\s*\d*\s*$"
MOST_LABELS = 20


def kept_texts(
    sample: pl.DataFrame, names: Sequence[str], options: DatasetOptions
) -> tuple[dict[str, str], str | None]:
    """The columns that stay text, each with the reason, and the one that is probably the label."""
    label = options.label if options.label is not None else probable_label(sample, names)
    kept = {label: "the label"} if label is not None else {}
    for name, why in ((options.id_column, "the id column"), (options.time_column, "the time column")):
        if name is not None and name != SYNTHETIC:
            kept.setdefault(name, why)
    longs = sample.select(column(name).str.contains(LONG_DIGITS).any() for name in names).row(0)
    firsts = sample.head(SAMPLED).to_dict(as_series=False)
    for name, long in zip(names, longs, strict=True):
        if name not in kept and (
            reason := _reason(name, sample[name], [one for one in firsts[name] if one is not None], long=bool(long))
        ):
            kept[name] = reason
    return kept, label


def probable_label(sample: pl.DataFrame, names: Sequence[str]) -> str | None:
    """The column named like a label that has two values in the first rows, else few values, else none."""
    counts = {
        name: len({canonical(value) for value in sample[name].drop_nulls().unique().head(500) if value.strip()})
        for name in label_candidates(names)
    }
    for wanted in ((2,), (1,), range(3, MOST_LABELS + 1)):
        if found := next((name for name, count in counts.items() if count in wanted), None):
            return found
    return next(iter(counts), None)


def _reason(name: str, values: pl.Series, first: list[str], *, long: bool) -> str | None:
    plain = plain_name(name)
    if plain in ID_NAMES:
        return "named like an identifier, so its spelling is kept"
    like_id, hinted = bool(ID_WORDS.search(plain)), is_hinted(name)
    if like_id and values.str.contains(LEADING_ZERO).any() and values.str.contains(WHOLE).all():
        return "its numbers begin with 0 like identifiers, so their spelling is kept"
    if (hinted or not like_id) and find_number_style(first, hinted=hinted):
        return "numbers that are times"
    if is_named(name):
        return "named like a time"
    if long:
        return "numbers of more than 15 digits, which a float cannot hold: kept as written"
    return None
