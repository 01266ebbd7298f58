"""Files that staff bring in: refused as a whole, with a sentence, before any row is looked at."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from accounts.staff.import_export import check_table, read_table

COLUMNS, KEYS = ["email", "name", "plan"], ["email"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no rows"),
        (b"email\n", "no rows"),
        (b"email,name\nx@example.org\n", "Line 2 has 1 cells"),
        (b'email,name\nx@example.org,"cut off', "is incomplete"),
        ("email,name\nx@example.org,Müller\n".encode("latin-1"), "not UTF-8"),
        ("email,name\nx@example.org,M\n".encode("utf-16"), "not UTF-8"),
        (b"email,name\nx@example.org,a\x00b\n", "NUL"),
        (b"PK\x03\x04" + bytes(range(256)), "not UTF-8"),
        (b"name\nx\n", "Missing columns: email"),
        (b"email,password\nx@example.org,x\n", "Unknown column “password”"),
        (b"email,email\nx@example.org,y@example.org\n", "twice"),
        (b"email\nx@example.org\nX@example.org\n", "Lines 2 and 3 describe the same object"),
        (b"email\n" + b"x" * 1_000_001, "larger than 1,000 kB"),
        (b"email\n" + b"".join(b"%d@example.org\n" % n for n in range(5001)), "more than 5,000 rows"),
        (b'email,name\nx@example.org,"' + b"x" * 200_000 + b'"\n', "field larger"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_files_are_refused_with_a_sentence(data: bytes, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_table(read_table(data), COLUMNS, KEYS)
    assert says in " ".join(refused.value.messages)


def test_a_good_one_is_read() -> None:
    lines = read_table('\ufeffname,email\r\n"Müller, ""M""",m@example.org\r\n\r\n'.encode())
    check_table(lines, COLUMNS, KEYS)
    assert lines == [["name", "email"], ['Müller, "M"', "m@example.org"]]
