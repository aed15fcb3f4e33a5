"""Names that columns of times have, in the languages of plants."""

import re

from storage.tables.options import plain_name

_TIMES = """
timestamp, time, datetime, date time, date, synthetic timestamp, ts, time stamp, zeitstempel, zeit, datum, uhrzeit
datum zeit, datum/zeit, date/time, datum uhrzeit, date heure, horodatage, heure, fecha, fecha hora, hora, data ora
data hora, время, дата, дата время, 時刻, 日時, 日付, 时间, 日期
시간, 일시, 날짜, 시각, czas, czas datum, čas, tijd, tid
"""
TIME_NAMES = tuple(name for line in _TIMES.strip().splitlines() for name in line.split(", "))
"""Names of time columns, best first, after `plain_name`."""
_WORDS = """
time timestamp date datetime stamp zeit zeitstempel datum uhrzeit ts epoch unix utc clock heure horodatage fecha
hora когда время дата czas tijd 시간 일시 날짜 时间 日期 時刻 日時
"""
WORDS = frozenset(_WORDS.split())
CLOCKS = frozenset(
    {"time", "uhrzeit", "zeit", "heure", "hora", "clock", "시간", "时间", "時刻", "время", "czas", "tijd", "ora"}
)
DURATIONS = re.compile(
    r"\b(cycle|process|processing|dwell|run|up|down|idle|lead|wait|response|reaction|elapsed|takt|hold|holding|fill|cooling|heating|curing|weld|exposure"
    r"|duration|since|until|remaining|total|avg|mean|max|min|zyklus|dauer|lifetime|count|delta|diff)\b"
)
"""Times that say how long, not when."""
CREATED = re.compile(r"\b(created|recorded|measured|updated|produced|inspected|tested) (at|on)\b")


def is_named(name: str) -> bool:
    """Whether a column can hardly be anything but times, by its name."""
    return plain_name(name) in TIME_NAMES


def is_hinted(name: str) -> bool:
    """Whether a column's name speaks of times."""
    plain = plain_name(name)
    if plain in TIME_NAMES or CREATED.search(plain):
        return True
    words = set(re.split(r"[^\w]+|(?<=\D)(?=\d)", plain))
    return bool(words & WORDS) and not DURATIONS.search(plain)


def rank(name: str) -> int:
    """How well a name suggests times, 0 best; above `len(TIME_NAMES)` not at all."""
    plain = plain_name(name)
    if plain in TIME_NAMES:
        return TIME_NAMES.index(plain)
    return len(TIME_NAMES) + (0 if is_hinted(name) else 1)
