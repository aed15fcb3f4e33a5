"""From an example of a time to the strptime formats that could have written it. Pure."""

import re

CLOCK = re.compile(
    r"^(?P<clock>\d{1,2}(?P<sign>[:.])\d{2}(?P<seconds>(?P=sign)\d{2})?(?P<fraction>\.\d{1,9})?)(?P<half>(?P<gap>"
    r" ?)[AaPp][Mm])?"
    r"(?P<zone>(?P<zonegap> ?)(?:Z|[+-]\d{2}(?::?\d{2})?))?$"
)
DATE = re.compile(
    r"^(?P<date>(?:(?P<year>\d{4})(?P<s1>[-/. _]?)(?P<m1>\d{1,2})(?P=s1)\d{1,2})"
    r"|(?:\d{1,2}(?P<s2>[-/. _])\d{1,2}(?P=s2)(?:(?P<long>\d{4})|\d{2}))"
    r"|(?:\d{1,2}(?P<s3>[-/. _]?)(?P<name>[A-Za-z]{3,9})(?P<s4>[-/. _]?)(?:(?P<long2>\d{4})|\d{2}))"
    r"|(?:(?P<first>[A-Za-z]{3,9})(?P<s5>[-/. ])\d{1,2}(?P<s6>,? )\d{4})"
    r"|(?:\d{4}(?P<s7>[-/. ])(?P<name2>[A-Za-z]{3,9})(?P=s7)\d{1,2}))"
    r"(?:(?P<between>T|_|,? +| ?- ?|:)(?P<rest>\d{1,2}[:.]\d{2}.*))?$"
)


AMBIGUOUS_ZONES = ("CST", "IST")
"""Each is the name of several zones; they stand in a format as they are."""


def formats_of(text: str) -> list[str]:
    """The formats in which a text could be a date with or without a time of day, the likeliest first; none when it is
    no such thing."""
    if text.endswith(tuple(f" {zone}" for zone in AMBIGUOUS_ZONES)):
        return [f"{form} {text[-3:]}" for form in formats_of(text[:-4])]
    turned = re.match(r"^(\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?(?: ?[AaPp][Mm])?)( +)(\S.*)$", text)
    if turned and (dates := formats_of(turned[3])) and (clock := clock_format(turned[1])):
        return [clock + turned[2] + date for date in dates]
    match = DATE.match(text)
    if match is None:
        return []
    clock = ""
    if match["rest"]:
        found = clock_format(match["rest"])
        if found is None:
            return []
        clock = match["between"] + found
    return [date + clock for date in _dates(match)]


def clock_format(text: str) -> str | None:
    """The format of a time of day; None when it is none."""
    match = CLOCK.match(text)
    if match is None:
        return None
    sign, half = match["sign"], match["half"]
    clock = (
        f"{'%I' if half else '%H'}{sign}%M"
        + (f"{sign}%S" if match["seconds"] else "")
        + ("%.f" if match["fraction"] else "")
    )
    clock += f"{match['gap']}%p" if half else ""
    if match["zone"]:
        zone = match["zone"].strip()
        clock += match["zonegap"] + ("Z" if zone == "Z" else "%#z")
    return clock


def _dates(match: re.Match[str]) -> list[str]:
    if match["year"]:
        s = match["s1"]
        return [f"%Y{s}%m{s}%d"] if s or len(match["date"]) == 8 else []
    if match["s2"]:
        s, year = match["s2"], "%Y" if match["long"] else "%y"
        dates = [f"%d{s}%m{s}{year}", f"%m{s}%d{s}{year}"]
        return dates if match["long"] else [*dates, f"%y{s}%m{s}%d"]
    if match["name"]:
        return [f"%d{match['s3']}{_month(match['name'])}{match['s4']}{'%Y' if match['long2'] else '%y'}"]
    if match["first"]:
        return [f"{_month(match['first'])}{match['s5']}%d{match['s6']}%Y"]
    return [f"%Y{match['s7']}{_month(match['name2'])}{match['s7']}%d"]


def _month(name: str) -> str:
    return "%b" if len(name) == 3 else "%B"


def order_of(form: str) -> str:
    """`dmy`, `mdy` or `ymd`: in which order a format has day, month and year."""
    places = sorted(
        (form.find(sign), part)
        for part, signs in (("d", ("%d",)), ("m", ("%m", "%b", "%B")), ("y", ("%Y", "%y")))
        for sign in signs
    )
    return "".join(part for place, part in places if place >= 0)


_LETTERS = (
    *(
        ("yyyy", "%Y"),
        ("YYYY", "%Y"),
        ("yy", "%y"),
        ("YY", "%y"),
        ("MMMM", "%B"),
        ("MMM", "%b"),
        ("MM", "%m"),
        ("dd", "%d"),
        ("DD", "%d"),
    ),
    *(
        ("HH24", "%H"),
        ("HH12", "%I"),
        ("HH", "%H"),
        ("hh", "%I"),
        ("MI", "%M"),
        ("mm", "%M"),
        ("ss", "%S"),
        ("SS", "%S"),
    ),
    *(
        (".fffffff", "%.f"),
        (".ffffff", "%.f"),
        (".fff", "%.f"),
        (".SSS", "%.f"),
        (".FF", "%.f"),
        ("tt", "%p"),
        ("AM", "%p"),
        ("zzz", "%z"),
        ("XXX", "%z"),
    ),
    *(("RR", "%y"), ("MON", "%b"), ("M", "%m"), ("d", "%d"), ("H", "%H"), ("h", "%I"), ("'T'", "T"), ("a", "%p")),
)


def to_strptime(given: str) -> str:
    """A format as given, in strptime's signs: `dd.MM.yyyy HH:mm` of Java, .NET and Oracle is `%d.%m.%Y %H:%M`."""
    if "%" in given:
        return given
    found, i = "", 0
    while i < len(given):
        letters, sign = next(
            ((letters, sign) for letters, sign in _LETTERS if given.startswith(letters, i)), (given[i], given[i])
        )
        found, i = found + sign, i + len(letters)
    return found
