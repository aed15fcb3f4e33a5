"""Names of label columns, and what a column's name says about which value means PASS. Words, never parts of words.
Pure."""

import re
from collections.abc import Iterable

from storage.tables.options import plain_name

_LABELS = """
response, pass/fail, pass fail, passfail, pass or fail, passorfail, label, target, machine failure, failure, fail
failed, fault, faulty, defect, defective, is defect, is defective, has defect, anomaly, is anomaly, ng, nok, ok
is ok, ok/nok, ok nok, ok/ng, ok ng, io/nio, passed, pass, good, accepted, rejected, reject, broken, not ok, scrap
class, judgement, judgment, judge, test result, testresult, inspection result, quality result, final result, result
verdict, outcome, quality, quality label, status, y, attack, 판정, 불량, 합격, 양불, 결과, 判定, 判定結果, 判定结果
合否, 良否, 结果, 結果
是否合格, 不良, 合格, годен, брак, bewertung, i.o., gutteil, ausschuss, défaut, conforme, defecto
"""
LABEL_NAMES = tuple(name for line in _LABELS.strip().splitlines() for name in line.split(", "))
"""Names that a label column usually has, best first, after `plain_name`."""
RESPONSE_LIKE = ("response", "label", "target", "class", "y")
"""Under these 0 is PASS by default, as CONTRACT says of the field's data."""
_PASS = """
pass passed passes passing ok okay good accept accepted acceptable accepte conform conforms conforming conforme
conformity success successful io gut gutteil valid healthy normal bon buono bueno godkänd годен bestanden 합격 양품 정상
合格 良品 正常 良 是否合格 yield
"""
_FAIL = """
fail failed fails failing failure failures fault faults faulty defect defects defective bad reject rejected rejects
rejection error errors anomaly anomalous anomalies abnormal scrap scrapped ng nok nio ko broken broke damage damaged
attack alarm outlier malfunction breakdown nonconforming nonconformity ausschuss defekt fehler schlecht kaputt
défaut defaut mauvais defecto defectuoso difetto rechazado rebut брак fraud rework
불량 불량품 불합격 비정상 이상 不良 不良品 不合格 異常
异常 缺陷 欠陥
"""
PASS_WORDS, FAIL_WORDS = frozenset(_PASS.split()), frozenset(_FAIL.split())
_NOT = "not no non isnt nicht kein keine ohne without free never un sans pas sin senza нет не"
NEGATIONS = frozenset(_NOT.split())


def label_candidates(names: Iterable[str]) -> list[str]:
    """Columns named like a label, the best name first."""
    by_name = {plain_name(name): name for name in reversed(list(names))}
    return [by_name[name] for name in LABEL_NAMES if name in by_name]


def words_of(text: str) -> list[str]:
    """The words of a name or value in lower case: `isOK_v2` is `is`, `ok`, `v`, `2`."""
    joined = re.sub(r"(?i)\bn\.\s?i\.\s?o\b\.?", "nio", text)
    joined = re.sub(r"(?i)\bi\.\s?o\b\.?|\bin ordnung\b", "io", joined)
    plain = plain_name(joined)
    return [word for word in re.split(r"[^\w]+|(?<=\D)(?=\d)|(?<=\d)(?=\D)", plain) if word]


def sense(text: str) -> int | None:
    """1 when a name or value speaks of the pass, -1 of the failure, 0 of both, None of neither. A negation turns the
    word after it."""
    found = set()
    words = words_of(text)
    turned = False
    for i, word in enumerate(words):
        if word in NEGATIONS:
            turned = not turned
            continue
        value = 1 if word in PASS_WORDS else -1 if word in FAIL_WORDS else 0
        if value and i + 1 < len(words) and words[i + 1] == "free":
            value = -value
        if value:
            found.add(-value if turned else value)
            turned = False
    if not found:
        return None
    return found.pop() if len(found) == 1 else 0
