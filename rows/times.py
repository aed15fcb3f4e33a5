"""Times as other systems write them, read as the CSV reader reads them (`storage.tables.times`), but never without a
zone. Pure."""

import re
from datetime import UTC, datetime, timedelta

WRITTEN = re.compile(
    r"\s*(\d{4}-\d{2}-\d{2})[Tt"
    r" ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9})\d*)?)?\s*(?:([zZ]|UTC|GMT)|([+-]\d{2}):?(\d{2})?)\s*",
    re.ASCII,
)


def read_time(text: str) -> datetime | None:
    """The time in UTC; null when it is none. Seconds may be missing, a leap second is the next one, an offset may lack
    its minutes."""
    found = WRITTEN.fullmatch(text)
    if found is None:
        return None
    date, hour, minute, second, fraction, utc, hours, minutes = found.groups()
    try:
        seconds, leap = int(second or 0), int(second or 0) == 60
        moment = datetime.fromisoformat(f"{date}T{hour}:{minute}:{seconds - leap:02}+00:00")
        offset = (
            timedelta()
            if utc
            else timedelta(hours=abs(int(hours)), minutes=int(minutes or 0)) * (-1 if hours[0] == "-" else 1)
        )
        if abs(offset) >= timedelta(days=1) or int(minutes or 0) > 59:
            return None
        return (
            moment.astimezone(UTC)
            + timedelta(seconds=leap, microseconds=int((fraction or "0")[:6].ljust(6, "0")))
            - offset
        )
    except (ValueError, OverflowError):
        return None
