"""What a file is called, in the ways that clients write it."""

import pytest

from gateway.web.file_names import file_name


@pytest.mark.parametrize(
    ("plain", "rest", "name"),
    [
        ("rows.csv", "", "rows.csv"),
        ("=?utf-8?B?UHLDvGYuY3N2?=", "", "Prüf.csv"),  # .NET
        (
            "=?utf-8?B?UHLDvGYuY3N2?=",
            "; filename*=utf-8''Pr%C3%BCf.csv",
            "Prüf.csv",
        ),  # .NET, by Add(content, name, fileName)
        ("=?UTF-8?Q?Pr=C3=BCf_1.csv?=", "", "Prüf 1.csv"),
        ("=?utf-8?B?UHLDvA==?= =?utf-8?B?Zi5jc3Y=?=", "", "Prüf.csv"),
        ("", "; filename*=UTF-8''a%20b%3B.csv", "a b;.csv"),
        ("ascii.csv", "; FILENAME* = iso-8859-1'en'Pr%FCf.csv", "Prüf.csv"),
        ("kept.csv", "; filename*=no-such''x.csv", "kept.csv"),
        ("kept.csv", "; filename*=utf-8''%FF.csv", "kept.csv"),
        ("=?no-such?B?UHI=?=.csv", "", "=?no-such?B?UHI=?=.csv"),  # a name that only begins like one
        ("=?utf-8?B?!?=", "", "=?utf-8?B?!?="),
        ("=?utf-8?B?Li4vLi4vcGFzc3dkLmNzdg==?=", "", "passwd.csv"),
        ("C:\\dir\\rows.csv", "", "rows.csv"),
        ("", "", ""),
    ],
)
def test_file_is_called_as_its_client_calls_it(plain: str, rest: str, name: str) -> None:
    assert file_name(plain, f'form-data; name="file"; filename="{plain}"{rest}') == name


def test_name_is_bounded() -> None:
    assert len(file_name("x" * 1000 + ".csv", "")) == 255
