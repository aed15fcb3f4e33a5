"""Times as people and machines write them, put into words and signs that a strptime format can read: months of many
languages as `Jan`, AM and PM, 年月日, zone names as offsets, comma fractions. Pure expressions; a text that needs
none of it comes out as it went in."""

import polars as pl

MONTHS = {
    "Jan": (
        "january januar jänner janvier janv enero ene gennaio gen janeiro januari januára stycznia styczeń "
        "sty leden ledna января янв ocak oca tammikuu"
    ),
    "Feb": (
        "february februar feber février févr fév febrero febbraio fevereiro fev februari lutego luty lut únor "
        "února февраля фев şubat şub"
    ),
    "Mar": "march märz mrz mär mars marzo março maart mrt marca marzec březen března марта мар mart",
    "Apr": "april avril avr abril abr aprile kwietnia kwiecień kwi duben dubna апреля апр nisan nis",
    "May": "mai mayo maggio mag maio mei maja maj květen května мая май mayıs",
    "Jun": "june juni juin junio giugno giu junho czerwca czerwiec cze červen června июня июн haziran haz",
    "Jul": "july juli juillet juil julio luglio lug julho lipca lipiec lip červenec července июля июл temmuz tem",
    "Aug": "august août aoû agosto ago augustus sierpnia sierpień sie srpen srpna августа авг ağustos ağu",
    "Sep": (
        "september septembre sept septiembre settembre set setembro września wrzesień wrz září сентября сен eylül eyl"
    ),
    "Oct": (
        "october oktober okt octobre octubre ottobre ott outubro out października październik paź říjen října октября"
        " окт ekim eki"
    ),
    "Nov": "november novembre noviembre novembro listopada listopad lis ноября ноя kasım kas",
    "Dec": (
        "december dezember dez décembre déc diciembre dic dicembre dezembro grudnia grudzień gru prosinec "
        "prosince декабря дек aralık ara"
    ),
}
_PAIRS = sorted(
    ((word, month) for month, words in MONTHS.items() for word in (month.lower(), *words.split())),
    key=lambda pair: -len(pair[0]),
)
ZONES = {
    "UTC": 0,
    "GMT": 0,
    "WET": 0,
    "WEST": 1,
    "CET": 1,
    "CEST": 2,
    "MEZ": 1,
    "MESZ": 2,
    "EET": 2,
    "EEST": 3,
    "MSK": 3,
    "BST": 1,
    "EST": -5,
    "EDT": -4,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "AKST": -9,
    "HST": -10,
    "JST": 9,
    "KST": 9,
    "HKT": 8,
    "SGT": 8,
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
    "BRT": -3,
}
"""Hours east of Greenwich. CST and IST are not here: each is the name of several zones, so `time_zone` is asked for."""
_ZONE_WORDS = sorted(ZONES, key=lambda zone: -len(zone))
AM = "오전|上午|午前|凌晨|早上|πμ|π\\.μ\\.|a\\.\\s?m\\.?|vorm\\.|de\\.|ص"
PM = "오후|下午|午後|晚上|μμ|μ\\.μ\\.|p\\.\\s?m\\.?|nachm\\.|du\\.|م"
BEFORE = (
    (r"[\u00a0\u202f\u2009\s]+", " "),
    (r"^[\p{L}]{2,12}\.?,? (\d{1,2}[.\s]+\p{L}.*|\d{1,4}[-./]\d.*)$", "${1}"),  # a day of the week
    (
        r"(\d{4}) ?[年년][ -]*(\d{1,2}) ?[月월][ -]*(\d{1,2}) ?[日일]?(?: ?[(（]?\p{L}[曜요]?[日일]?[)）])? ?",
        "${1}-${2}-${3} ",
    ),
    (r"^(\d{4})\. ?(\d{1,2})\. ?(\d{1,2})\.?( |$)", "${1}-${2}-${3}${4}"),
    (r"^(\d{4})(\d{2})(\d{2})[T _-](\d{2})(\d{2})(\d{2})(\D.*)?$", "${1}-${2}-${3}T${4}:${5}:${6}${7}"),
    (r"(\d{1,2}) ?[時时点시] ?(\d{1,2}) ?[分분] ?(\d{1,2}) ?[秒초]", "${1}:${2}:${3}"),
    (r"(\d{1,2}) ?[時时点시] ?(\d{1,2}) ?[分분]", "${1}:${2}"),
    (r"(\d{1,2}) ?[時时点시]", "${1}:00"),
    (rf"(?i)(?:{AM}) ?(\d[\d:.]*)", "${1} AM"),
    (rf"(?i)(?:{PM}) ?(\d[\d:.]*)", "${1} PM"),
    (rf"(?i)(\d) ?(?:{AM})$", "${1} AM"),
    (rf"(?i)(\d) ?(?:{PM})$", "${1} PM"),
    (r"(?i)(:\d{2})(am|pm)$", "${1} ${2}"),
    (r"(?i)(\d)( Uhr| h)$", "${1}"),
    (r"^(.*\d)[hH](\d{2})(.*)$", "${1}:${2}${3}"),
    (r"(:\d{2}),(\d{1,9})", "${1}.${2}"),
    (r"(:\d{2}:\d{2}):(\d{3,6})$", "${1}.${2}"),
    (r"(?:\s*\[|\s+)[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)+\]?$", ""),
    (r" ?(?:UTC|GMT)([+-]\d)$", "+0${1}:00"),
    (r"\+0([+-])(\d:00)$", "${1}0${2}"),
    (r"^(\d{1,4}[-./]\d{1,2}[-./]\d{1,4}[ T]\d{1,2})$", "${1}:00"),
)
AFTER = (
    (r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[.,]? (de |of )?", "${1} "),
    (r"(\d)(?:st|nd|rd|th|\.|º| de) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)", "${1} ${2}"),
    (r"(\d), (\d)", "${1} ${2}"),
    (r"^\p{L}{3,4} ([A-Z][a-z]{2}) (\d{1,2}) ([\d:.]+)((?:[+-]\d{2}:?\d{2})?) (\d{4})$", "${2} ${1} ${5} ${3}${4}"),
    (r" (\d{1,2}):(\d)(:|$| )", " ${1}:0${2}${3}"),
    (r":(\d)$", ":0${1}"),
    (r"([T ])24:00", "${1}00:00"),
)
ZONE_NAME = r"\[?([A-Z][A-Za-z_]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?)\]?$"


def tidy(value: pl.Expr) -> pl.Expr:
    """The text with everything in English words and digits."""
    value = value.str.strip_chars()
    for wanted, instead in BEFORE:
        value = value.str.replace(wanted, instead) if wanted != BEFORE[0][0] else value.str.replace_all(wanted, instead)
    value = value.str.replace_many(
        [word for word, _ in _PAIRS], [month for _, month in _PAIRS], ascii_case_insensitive=True, leftmost=True
    )
    value = value.str.replace_many(
        [f" {zone}" for zone in _ZONE_WORDS], [_offset(zone) for zone in _ZONE_WORDS], leftmost=True
    )
    for wanted, instead in AFTER:
        value = value.str.replace(wanted, instead)
    return value.str.strip_chars()


def ends_a_day(value: pl.Expr) -> pl.Expr:
    """Whether a text says 24:00, which is the next day's first instant."""
    return value.str.contains(r"[T ]24:00(:00([.,]0+)?)?\s*([A-Z]{1,4}|[+-]\d\d:?\d\d)?$")


def _offset(zone: str) -> str:
    return f"{ZONES[zone]:+03d}:00"
