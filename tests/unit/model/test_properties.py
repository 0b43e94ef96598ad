"""Java's properties format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.properties import ConfigFileError, parse_properties


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1\nb = 2\r\nc: 3\rd 4\ne\t:\t5", {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}),
        ("# comment\n  ! another\n\n \t\na=#b", {"a": "#b"}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("=x", {"": "x"}),
        ("a==b", {"a": "=b"}),
        ("a = : b", {"a": ": b"}),
        ("a=trailing  ", {"a": "trailing  "}),
        ("a=one,\\\n   two,\\\r\n\tthree", {"a": "one,two,three"}),
        ("a=x\\\\\nb=y", {"a": "x\\", "b": "y"}),
        ("a=x\\", {"a": "x"}),
        ("a=x\\\n# no comment", {"a": "x# no comment"}),
        ("a\\=b\\:c\\ d=1", {"a=b:c d": "1"}),
        ('a=\\t\\n\\r\\f\\\\\\q\\"', {"a": '\t\n\r\f\\q"'}),
        ("a=\\u00fc\\u20AC", {"a": "ü€"}),
        ("a=\\uD83D\\uDC4B", {"a": "\U0001f44b"}),
        ("a=ü", {"a": "ü"}),
        ("a=1\na=2", {"a": "2"}),
        ("\ufeffa=1", {"a": "1"}),
        ("\\u0061=1", {"a": "1"}),
    ],
)
def test_text_is_read_as_java_reads_it(text: str, expected: dict[str, str]) -> None:
    assert parse_properties(text, "f.properties") == expected


@pytest.mark.parametrize("escape", ["\\u12", "\\u12g4", "\\u", "\\uu0061"])
def test_a_malformed_escape_is_named_with_its_line(escape: str) -> None:
    with pytest.raises(ConfigFileError) as caught:
        parse_properties(f"# c\na=1\\\n 2\nb={escape}", "etc/x.properties")
    assert str(caught.value).startswith("etc/x.properties:4: Malformed \\uXXXX encoding: \\u")


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in text)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_whatever_is_escaped_comes_back(values: dict[str, str]) -> None:
    text = "\n".join(f"{escaped(k)}={escaped(v)}" for k, v in values.items())
    if "\ufeff" not in text:
        assert parse_properties(text, "f") == values


@given(st.text())
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    try:
        parse_properties(text, "f")
    except ConfigFileError as error:
        assert str(error).startswith("f:")  # noqa: PT017 (both ends are fine)
