"""In which encoding bytes are written: a mark at the start, the pattern of NUL bytes, UTF-8, else what fits best, with
the reason in words.

charset-normalizer says which encodings could be meant. Several always could, since a header has few letters; the one
whose letters are the common ones of its script is taken, in the order of `CANDIDATES` where that does not decide. Pure
but for the file read."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charset_normalizer import from_bytes

BLOCK = 1 << 20
SAMPLE_BYTES = 1 << 16
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 before UTF-16, whose mark it begins with."""
CANDIDATES = (
    "cp949",
    "gb18030",
    "cp932",
    "euc_jp",
    "big5",
    "cp1252",
    "cp1250",
    "cp1254",
    "cp1251",
    "koi8_r",
    "cp1253",
    "cp850",
)
LETTERS = {
    "cp1252": "äöüßéèàáâãåçëíïñòóôùúûÄÖÜÉÈÀÁÂÃÅÇËÍÏÑÓÔÚ°µ²³±€×§·–—“”„’",
    "cp1254": "çğıöşüâîûÇĞİÖŞÜÂÎÛ°µ²³±€×§·–—“”„’",
    "cp1253": "αβγδεζηθικλμνξοπρςστυφχψωάέήίόύώϊϋΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΆΈΉΊΌΎΏ°±²³€·–—«»’",
    "cp850": "äöüßéèàáâãåçëíïñòóôùúûÄÖÜÉÈÀÁÂÃÅÇËÍÏÑÓÔÚ°µ²³±×§·",
    "cp1250": "ąćęłńóśźżčďěňřšťůžáéíýúôäöüßőűĄĆĘŁŃÓŚŹŻČĎĚŇŘŠŤŮŽÁÉÍÝÚÔÄÖÜŐŰ°±€×§·–—“”„’",
    "cp1251": "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЁІЇЄҐ°±№–—«»",
}
LETTERS["koi8_r"] = LETTERS["cp1251"]
WORDS = {
    "cp949": ("시간", "일시", "온도", "압력", "센서", "판정", "합격", "불량", "양품", "결과", "번호"),
    "gb18030": ("时间", "日期", "温度", "压力", "传感", "编号", "判定", "结果", "合格", "不良", "检"),
    "cp932": ("時刻", "日時", "温度", "圧力", "センサ", "番号", "判定", "結果", "良品", "不良", "合格"),
    "euc_jp": ("時刻", "日時", "温度", "圧力", "センサ", "番号", "判定", "結果", "良品", "不良", "合格"),
    "cp1251": ("темп", "давл", "датч", "дата", "время", "резул", "брак", "годен", "норма", "номер", "линия"),
    "koi8_r": ("темп", "давл", "датч", "дата", "время", "резул", "брак", "годен", "норма", "номер", "линия"),
    "cp1253": ("θερμοκ", "πίεσ", "πιεσ", "αισθητ", "ημερομ", "ώρα", "αποτέλ", "αποτελ", "αριθμ", "έλεγχ", "ελαττ"),
    "cp1254": ("sıcak", "basınç", "sensör", "saat", "sonuç", "hata", "geçti", "kaldı", "zaman", "değer"),
    "big5": ("時間", "日期", "溫度", "壓力", "感測", "編號", "判定", "結果", "合格", "不良"),
}
"""Words of such files: they decide between encodings of which each could be meant."""
SIGN_WITHIN_WORD = re.compile(r"(?<=[^\W\d])[°µ²³¹¿±×§“”„‚™š†‡…](?=[^\W\d])")
MIXED_WORD = re.compile(r"[а-яёα-ωά-ώ](?=[А-ЯΑ-Ω])|[A-Za-z](?=[\u0370-\u04ff])|[\u0370-\u04ff](?=[A-Za-z])")
"""A word with letters of two scripts, or with capitals behind small letters."""
DEGREES = re.compile(r"(?<!\w)°\s?[CF]\b")
"""Another language's letter, read wrongly: `W³aœciwoœæ`."""
NEAR = 0.15
"""Scores closer than this do not tell encodings apart."""
LOOK = "look at the names, and send encoding=… if they are wrong"
MOST_COUNTED = 1000
MOST_STRAY = 0.02
"""Of the characters beyond ASCII, what may be wrong in an encoding that is otherwise right."""
STRAY_SHARE, FEW_STRAY = 0.5, 2
"""Bytes that are not UTF-8 for each character that is, up to which a file is UTF-8 with errors rather than something
else: in no other encoding does text happen to be valid UTF-8 for long."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec's name and why it was taken, in words. `clean`: every byte was looked at, and fits. `unsure`:
    another could be meant as well."""

    name: str
    reason: str
    clean: bool = False
    unsure: bool = False


def marked(start: bytes) -> Encoding | None:
    """The encoding that a file's first bytes state, by a mark or by where its NUL bytes stand."""
    for mark, name in MARKS:
        if start.startswith(mark):
            return Encoding(name, "its first bytes say so")
    if b"\0" not in start or len(start) < 4:
        return None
    nulls = [start[i::4].count(0) / max(1, len(start[i::4])) for i in range(4)]
    patterns = ((1, 2, 3), "utf-32-le"), ((0, 1, 2), "utf-32-be"), ((1, 3), "utf-16-le"), ((0, 2), "utf-16-be")
    for places, name in patterns:
        if all(nulls[i] > 0.7 for i in places) and all(nulls[i] < 0.3 for i in range(4) if i not in places):
            return Encoding(name, "every character takes that many bytes")
    return None


def find_encoding(path: Path) -> Encoding:
    """The encoding of a text without a mark. Reads all of it, in blocks; ASCII and UTF-8 cost next to nothing."""
    valid = stray = 0
    tail = b""
    sample = bytearray()
    for _, block in blocks(path):
        if not tail and block.isascii():
            continue
        good, bad, tail = _count(tail + block)
        valid, stray = valid + good, stray + bad
        if len(sample) < SAMPLE_BYTES:
            sample += b"\n".join(line for line in block.split(b"\n") if not line.isascii())[:SAMPLE_BYTES]
        if stray > MOST_COUNTED and stray > valid:
            break
    stray += bool(tail)
    if not stray:
        return Encoding("utf-8", "every byte of it is valid" if valid else "plain ASCII", clean=True)
    if stray <= STRAY_SHARE * valid or (stray <= FEW_STRAY and stray <= valid):
        return Encoding("utf-8", f"but for {stray} stray {'byte' if stray == 1 else 'bytes'} every character is valid")
    return guess(bytes(sample))


def guess(sample: bytes) -> Encoding:
    """The encoding of bytes that are not UTF-8, and how sure that is: what else fits them nearly as well is named."""
    possible = {match.encoding for match in from_bytes(sample, cp_isolation=[*CANDIDATES], threshold=0.9)}
    found = {name: _common(sample, name) for name in CANDIDATES}
    scores = {
        name: score + 0.05 * (name in possible or name in LETTERS) for name, score in found.items() if score is not None
    }
    best, *others = sorted(scores, key=lambda name: (-round(scores[name], 2), CANDIDATES.index(name))) or ["latin-1"]
    if scores.get(best, 0) < 0.3:
        name = "latin-1" if "cp1252" not in scores else "cp1252"
        return Encoding(name, f"it is not UTF-8, and nothing fits its bytes better; {LOOK}", unsure=True)
    percent = round(100 * min(1.0, scores[best]))
    reason = f"it is not UTF-8, and read so {percent} % of what is not ASCII are common characters"
    near = [name for name in others if scores[name] > scores[best] - NEAR and _differ(sample, best, name)]
    if not near:
        return Encoding(best, reason)
    return Encoding(best, f"{reason}, but {' and '.join(near[:3])} would fit nearly as well; {LOOK}", unsure=True)


def _differ(sample: bytes, one: str, other: str) -> bool:
    return sample.decode(one, "replace") != sample.decode(other, "replace")


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Blocks of the file, each with its position."""
    start = 0
    with path.open("rb") as opened:
        while block := opened.read(BLOCK):
            yield start, block
            start += len(block)


def _count(data: bytes) -> tuple[int, int, bytes]:
    """Bytes that go on a UTF-8 character, bytes that belong to none, and what may go on in the next block."""
    valid = stray = position = 0
    while position < len(data) and stray <= MOST_COUNTED:
        try:
            return valid + len(data) - position - len(data[position:].decode()), stray, b""
        except UnicodeDecodeError as error:
            good = data[position : position + error.start]
            valid += len(good) - len(good.decode())
            if error.reason == "unexpected end of data":
                return valid, stray, data[position + error.start :]
            stray += 1
            position += error.start + 1
    return valid, stray, b""


def _common(sample: bytes, name: str) -> float | None:
    """The share of common characters among those beyond ASCII, when read so; None when it cannot be."""
    text = sample.decode(name, "replace")
    beyond = [character for character in text if character > "\x7f"]
    if ((bad := text.count("\ufffd")) and bad > max(1, MOST_STRAY * len(beyond))) or bad == len(beyond):
        return None
    share = sum(_is_common(character, name) for character in beyond) / max(1, len(beyond))
    if name in LETTERS:
        known = any(word in text.lower() for word in WORDS.get(name, ())) or DEGREES.search(text) is not None
        wrong = 0.5 * len(SIGN_WITHIN_WORD.findall(text)) + 2.0 * len(MIXED_WORD.findall(text))
        return share - wrong / max(1, len(beyond)) + 0.2 * known
    if name == "big5" and len(beyond) < 3:
        return 0.5 * share  # half of its characters end in a letter of ASCII: µm is one
    return share + 0.2 * any(word in text for word in WORDS[name])


def _is_common(character: str, name: str) -> bool:
    if letters := LETTERS.get(name):
        return character in letters
    if name == "cp949":
        return ("가" <= character <= "힣" and _lead(character, "euc_kr") is not None) or character in "℃·"
    if name == "gb18030":
        return 0xB0 <= (_lead(character, "gb2312") or 0) <= 0xD7 or character in "，。：；（）、"
    if name == "big5":
        return 0xA4 <= (_lead(character, "big5") or 0) <= 0xC6
    return (
        "ぁ" <= character <= "ヺ" or 0x88 <= (_lead(character, "shift_jis") or 0) <= 0x97 or character in "ー、。（）・"
    )


def _lead(character: str, codec: str) -> int | None:
    try:
        encoded = character.encode(codec)
    except UnicodeEncodeError:
        return None
    return encoded[0] if len(encoded) == 2 else None
