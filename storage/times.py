"""Text to time: which format a column of texts is written in, and the Polars expression that reads it as UTC microseconds. Pure."""

import polars as pl

ISO = "iso8601"
ISO_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%dT%H:%M%:z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
)
UTC_TIME = pl.Datetime("us", "UTC")


def read_time(texts: pl.Expr, style: str) -> pl.Expr:
    """UTC time of each text, null where the text is not of this style. A text without a zone is UTC."""
    text = texts.str.strip_chars()
    if style == ISO:
        text = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[ ](.+)$", "${1}T${2}").str.replace(r"[zZ]$", "+00:00")
        text = text.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00")
        zoned = [text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in ISO_FORMATS[:2]]
        naive = [text.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC") for form in ISO_FORMATS[2:]]
        return pl.coalesce(*naive, *zoned)
    return text.str.to_datetime(style, time_unit="us", strict=False).dt.replace_time_zone("UTC")
