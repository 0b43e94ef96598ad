"""The cases that are run through the real converters: printed as JSON for ``Golden.java``.

A case names the converter's class and side, its configuration, and either ``read`` (bytes as
base64) or ``write`` (schema and value, each value tagged with its type).
"""

import base64
import json
import sys
from typing import Any

JSON = "org.apache.kafka.connect.json.JsonConverter"
STRING = "org.apache.kafka.connect.storage.StringConverter"
BYTES = "org.apache.kafka.connect.converters.ByteArrayConverter"
SIMPLE = "org.apache.kafka.connect.storage.SimpleHeaderConverter"
NUMBERS = {
    name: f"org.apache.kafka.connect.converters.{name}Converter"
    for name in ("Boolean", "Short", "Integer", "Long", "Float", "Double")
}
PLAIN = {"schemas.enable": "false"}
DECIMAL = "org.apache.kafka.connect.data.Decimal"
DATE = "org.apache.kafka.connect.data.Date"
TIME = "org.apache.kafka.connect.data.Time"
TIMESTAMP = "org.apache.kafka.connect.data.Timestamp"

Json = dict[str, Any]


def read(
    cls: str, raw: bytes | str | None, config: Json | None = None, side: str = "value"
) -> Json:
    data = raw.encode() if isinstance(raw, str) else raw
    text = None if data is None else base64.b64encode(data).decode()
    return {"class": cls, "side": side, "config": config or {}, "read": text}


def write(
    cls: str, schema: Json | None, value: Any, config: Json | None = None, side: str = "value"
) -> Json:
    made = {"schema": schema, "value": value}
    return {"class": cls, "side": side, "config": config or {}, "write": made}


def t(kind: str, /, **more: Any) -> Json:
    return {"type": kind, **more}


def logical(name: str, base: str, /, **more: Any) -> Json:
    return t(base, name=name, version=1, **more)


def decimal(scale: int, **more: Any) -> Json:
    return logical(DECIMAL, "BYTES", parameters={"scale": str(scale)}, **more)


TYPED: list[tuple[Json | None, Any]] = [
    (t("BOOLEAN"), {"boolean": True}),
    (t("INT8"), {"int8": -128}),
    (t("INT16"), {"int16": 300}),
    (t("INT32", optional=True), {"int32": -7}),
    (t("INT64"), {"int64": "9223372036854775807"}),
    *[
        (t("FLOAT32"), {"float": v})
        for v in ("1.5", "0.1", "1.0E10", "3.4028235E38", "100.0", "1.0E-5")
    ],
    *[
        (t("FLOAT64"), {"double": v})
        for v in (
            "0.0",
            "-0.0",
            "1.0",
            "0.1",
            "123456.789",
            "1234567.0",
            "12345678.0",
            "1.0E10",
            "1.0E-3",
            "1.0E-4",
            "1.7976931348623157E308",
            "4.9E-324",
            "NaN",
            "Infinity",
            "-Infinity",
            "0.3333333333333333",
        )
    ],
    *[
        (t("STRING"), {"string": v})
        for v in (
            "",
            "a",
            'q"u\\o/te',
            "line\nfeed\ttab\r\b\f\u0000\u001f\u007f",
            "ü€",
            "\U0001f44b",
            "\u2028",
            "\U0010ffff",
            "null",
            "<&>",
        )
    ],
    (t("BYTES"), {"bytes": "AAEC/w=="}),
    (t("BYTES"), {"bytes": ""}),
    (t("STRING", optional=True), None),
    (t("STRING", optional=True, default={"string": "d"}), None),
    (t("STRING"), None),
    (t("ARRAY", value=t("INT32")), {"array": [{"int32": 1}, {"int32": 2}]}),
    (t("ARRAY", value=t("STRING", optional=True)), {"array": [{"string": "a"}, None]}),
    (t("MAP", key=t("STRING"), value=t("INT32")), {"map": [[{"string": "a"}, {"int32": 1}]]}),
    (t("MAP", key=t("INT32"), value=t("STRING")), {"map": [[{"int32": 1}, {"string": "x"}]]}),
    (
        t(
            "STRUCT",
            name="s",
            version=2,
            doc="A doc",
            fields=[
                ["id", t("INT64")],
                ["name", t("STRING", optional=True)],
                ["tags", t("ARRAY", value=t("STRING"), optional=True)],
                [
                    "in",
                    t(
                        "STRUCT",
                        fields=[["x", t("FLOAT64", default={"double": "1.5"})]],
                        optional=True,
                    ),
                ],
            ],
        ),
        {"struct": [["id", {"int64": "5"}], ["name", {"string": "x"}], ["in", {"struct": []}]]},
    ),
    (
        t("STRUCT", fields=[["a", t("STRING", optional=True, default={"string": "dd"})]]),
        {"struct": [["a", None]]},
    ),
    (t("STRUCT", fields=[["a", t("STRING")]]), {"struct": []}),
    (t("STRING", parameters={"p": "1", "q": "2"}, doc="doc"), {"string": "v"}),
    (decimal(2), {"decimal": "1.56"}),
    (decimal(2), {"decimal": "-156.00"}),
    (decimal(0), {"decimal": "12345678901234567890123"}),
    (decimal(4), {"decimal": "0.0000"}),
    (decimal(2), {"decimal": "1.5"}),
    (decimal(2, optional=True), None),
    (decimal(2, default={"decimal": "9.99"}), None),
    (decimal(-2), {"decimal": "1E+2"}),
    (logical(DATE, "INT32"), {"date": 86400000 * 19000}),
    (logical(DATE, "INT32"), {"date": 5}),
    (logical(TIME, "INT32"), {"date": 3723004}),
    (logical(TIMESTAMP, "INT64"), {"date": 1700000000123}),
    (logical(TIMESTAMP, "INT64"), {"date": -1}),
    (logical(TIMESTAMP, "INT64", optional=True), None),
    (t("INT32"), {"string": "no"}),
    (t("STRING"), {"int32": 1}),
    (None, None),
]
SCHEMALESS: list[Any] = [
    {"boolean": False},
    {"int64": "7"},
    {"double": "2.5"},
    {"string": "text"},
    {"bytes": "AQI="},
    {"array": [{"int64": "1"}, {"string": "a"}, None]},
    {"map": [[{"string": "b"}, {"int64": "1"}], [{"string": "a"}, {"map": []}]]},
    {"map": [[{"int64": "1"}, {"string": "x"}]]},
    {"map": [[{"string": "a"}, None]]},
    {"decimal": "1.5"},
]
DOCUMENTS = [
    "",
    " ",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "1.0",
    "1.5",
    "1e3",
    "1E400",
    "-1e400",
    "0.1",
    "1.23456789012345678901",
    "-0.0",
    '""',
    '"a"',
    '"\\u00fc\\n"',
    '"\\ud83d\\udc4b"',
    '"\\ud83d"',
    "[]",
    '[1,2.5,null,"x"]',
    "{}",
    '{"a":1,"b":{"c":[true]}}',
    '{"a":1,"a":2}',
    "{",
    '{"a":}',
    "nul",
    "[1,]",
    "01",
    "1 2",
    "{} {}",
    "NaN",
    "'a'",
    "\ufeff1",
    '"a\tb"',
    "1.",
    ".5",
    "+1",
    "# comment\n1",
    '{"b":1,"a":2}',
]
STRING_SCHEMA = {"type": "string", "optional": False}
ENVELOPES: list[Any] = [
    None,
    {"schema": None, "payload": None},
    {"schema": None, "payload": {"a": 1}},
    {"schema": None, "payload": [1, 2.5]},
    {"schema": {"type": "boolean", "optional": False}, "payload": True},
    {"schema": {"type": "int8"}, "payload": 12},
    {"schema": {"type": "int8"}, "payload": 300},
    {"schema": {"type": "int16"}, "payload": 12},
    {"schema": {"type": "int32"}, "payload": 12.7},
    {"schema": {"type": "int32"}, "payload": "x"},
    {"schema": {"type": "int64"}, "payload": 4398046511104},
    {"schema": {"type": "float"}, "payload": 12.34},
    {"schema": {"type": "double"}, "payload": 12},
    {"schema": {"type": "bytes"}, "payload": "c29tZS1ieXRlcw=="},
    {"schema": {"type": "bytes"}, "payload": "!!"},
    {"schema": STRING_SCHEMA, "payload": "text"},
    {"schema": STRING_SCHEMA, "payload": None},
    {"schema": STRING_SCHEMA, "payload": 5},
    {"schema": {"type": "string", "optional": True}, "payload": None},
    {"schema": {"type": "string", "optional": True, "default": "d"}, "payload": None},
    {"schema": {"type": "string", "default": "d"}, "payload": None},
    {"schema": {"type": "array", "items": {"type": "int32"}}, "payload": [1, 2]},
    {"schema": {"type": "array"}, "payload": [1, 2]},
    {
        "schema": {"type": "map", "keys": {"type": "string"}, "values": {"type": "int32"}},
        "payload": {"k": 1},
    },
    {
        "schema": {"type": "map", "keys": {"type": "int32"}, "values": {"type": "int32"}},
        "payload": [[1, 2]],
    },
    {
        "schema": {"type": "map", "keys": {"type": "int32"}, "values": {"type": "int32"}},
        "payload": {"k": 1},
    },
    {
        "schema": {"type": "map", "keys": {"type": "string"}, "values": {"type": "int32"}},
        "payload": [1],
    },
    {
        "schema": {"type": "map", "keys": {"type": "int32"}, "values": {"type": "int32"}},
        "payload": [[1]],
    },
    {"schema": {"type": "map", "values": {"type": "int32"}}, "payload": {}},
    {"schema": {"type": "map", "keys": {"type": "int32"}}, "payload": {}},
    {
        "schema": {
            "type": "struct",
            "name": "n",
            "version": 3,
            "doc": "d",
            "parameters": {"x": "y"},
            "fields": [
                {"field": "a", "type": "boolean"},
                {"field": "b", "type": "string", "optional": True, "default": "q"},
            ],
        },
        "payload": {"a": True, "extra": 1},
    },
    {"schema": {"type": "struct", "fields": [{"field": "a", "type": "string"}]}, "payload": {}},
    {"schema": {"type": "struct", "fields": [{"field": "a", "type": "string"}]}, "payload": [1]},
    {"schema": {"type": "struct", "fields": [{"type": "string"}]}, "payload": {}},
    {"schema": {"type": "struct"}, "payload": {}},
    {
        "schema": {"type": "bytes", "name": DECIMAL, "version": 1, "parameters": {"scale": "2"}},
        "payload": "AJw=",
    },
    {
        "schema": {"type": "bytes", "name": DECIMAL, "version": 1, "parameters": {"scale": "2"}},
        "payload": 1.56,
    },
    {
        "schema": {"type": "bytes", "name": DECIMAL, "version": 1, "parameters": {"scale": "4"}},
        "payload": 1.5,
    },
    {
        "schema": {
            "type": "bytes",
            "name": DECIMAL,
            "version": 1,
            "parameters": {"scale": "2"},
            "optional": True,
        },
        "payload": None,
    },
    {"schema": {"type": "bytes", "name": DECIMAL, "version": 1}, "payload": "AJw="},
    {"schema": {"type": "int32", "name": DATE, "version": 1}, "payload": 10000},
    {"schema": {"type": "int32", "name": TIME, "version": 1}, "payload": 14400000},
    {"schema": {"type": "int32", "name": TIME, "version": 1}, "payload": 86400001},
    {"schema": {"type": "int64", "name": TIMESTAMP, "version": 1}, "payload": 1700000000123},
    {
        "schema": {
            "type": "int64",
            "name": TIMESTAMP,
            "version": 1,
            "default": 42,
            "optional": True,
        },
        "payload": None,
    },
    {"schema": {"type": "int32", "version": 7, "doc": 5, "name": 8}, "payload": 1},
    {"schema": {"type": "int32", "parameters": {"a": 1}}, "payload": 1},
    {"schema": {"type": "nope"}, "payload": 1},
    {"schema": {}, "payload": 1},
    {"schema": "int32", "payload": 1},
    {"payload": 1},
    {"schema": None},
    {"schema": None, "payload": 1, "x": 2},
    5,
    [1],
    "text",
]
LITERALS = [
    "",
    " ",
    "null",
    "true",
    "false",
    "True",
    " true ",
    "true}",
    "0",
    "1",
    "127",
    "128",
    "-128",
    "-129",
    "32767",
    "32768",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "+5",
    "1.0",
    "1.5",
    "0.1",
    "1.23456789",
    "123456789.123456789",
    "3.5e38",
    "1e39",
    "1e400",
    "1e3",
    "-2.5",
    "1.",
    ".5",
    "1e",
    "--1",
    "0x10",
    "1_000",
    "1 2",
    "007",
    "1f",
    "10d",
    "abc",
    "abc,def",
    "a:b",
    "[",
    "]",
    "{",
    "[]",
    "{}",
    "[1]",
    "[1, 2, 300]",
    "[1,2.5]",
    '[1,"a"]',
    '["a","b"]',
    "[a]",
    "[1,]",
    "[1,,2]",
    "[,1]",
    "[null]",
    "[null,1]",
    "[true,false]",
    "[true,1]",
    "[[1],[2]]",
    "[[1],[300]]",
    "[1] x",
    "[1 2]",
    "{a:1}",
    '{"a":1}',
    '{"a":1,"b":300}',
    '{"a":1,"b":"x"}',
    '{"a":null}',
    "{1:2}",
    "{1:2,300:4}",
    '{"a":[1,2]}',
    '{"a":{"b":1}}',
    '{"a"}',
    '{"a":1,}',
    "{,}",
    "{null:1}",
    '{"a":1',
    '{"a":1 "b":2}',
    '{"a":}',
    '"quoted"',
    '"',
    '"a" b',
    "'x'",
    '["it\\"s"]',
    "a\\:b",
    "\\",
    "2019-08-23",
    "2019-08-23T14:34:54.346Z",
    "14:34:54.346Z",
    "14:34:54Z",
    "2019-13-45",
    "2019-8-23",
    '["2019-08-23"]',
    '["14:34:54.346Z"]',
    "[2019-08-23]",
    '{"2019-08-23":"2019-08-23T14:34:54.346Z"}',
    "[14:34:54.346Z]",
    "2019-08-23T14\\:34\\:54.346Z",
    "1969-12-31",
    "12:34",
    "2019-08-23 ",
    " 2019-08-23",
    "üñí",
    "\U0001f44b",
    "null ",
    "[ 1 , 2 ]",
    '{ "a" : 1 }',
    " [1]",
    "1,2",
    "-",
    "+",
    "-a",
    "1a",
    "NaN",
    "Infinity",
    "[1.5, 100000]",
    "[1, 9223372036854775808]",
    "[1.5, 1e400]",
    "10000000000000000000000",
    '[""]',
    '["a,b"]',
    '["[1]"]',
    "٣",
    "00:00:00.000Z",
    "25:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
    "12345678.9",
    "16777217.5",
]


def json_cases() -> list[Json]:
    cases = [write(JSON, schema, value) for schema, value in TYPED]
    cases += [write(JSON, schema, value, PLAIN) for schema, value in TYPED]
    numeric = {"decimal.format": "numeric", **PLAIN}
    cases += [write(JSON, s, v, numeric) for s, v in TYPED if s and s.get("name") == DECIMAL]
    keep = {"replace.null.with.default": "false"}
    cases += [write(JSON, s, v, keep) for s, v in TYPED if s and "default" in json.dumps(s)]
    cases += [write(JSON, None, value, config) for value in SCHEMALESS for config in ({}, PLAIN)]
    cases += [read(JSON, document, PLAIN) for document in DOCUMENTS]
    cases += [read(JSON, document) for document in ("", "1", "{", "null")]
    cases += [read(JSON, None), read(JSON, None, PLAIN), read(JSON, b'"\xff"', PLAIN)]
    cases += [read(JSON, json.dumps(envelope)) for envelope in ENVELOPES]
    cases += [read(JSON, json.dumps(e), keep) for e in ENVELOPES if "default" in json.dumps(e)]
    content = {"schema.content": '{"type":"struct","fields":[{"field":"a","type":"int32"}]}'}
    for config in (content, {**content, **PLAIN}):
        cases += [read(JSON, text, config) for text in ('{"a":5}', "{}", "null", "", "7")]
        cases += [read(JSON, None, config), write(JSON, t("INT32"), {"int32": 1}, config)]
        cases += [read(JSON, '{"schema":null,"payload":1}', config)]
    cases += [
        read(JSON, "1", {"schema.content": text}) for text in ("{", "", "null", '{"type":"x"}')
    ]
    return cases


def text_cases() -> list[Json]:
    cases = [write(STRING, s, v) for s, v in TYPED if not (v and "bytes" in v)]
    cases += [write(STRING, None, v) for v in SCHEMALESS if "bytes" not in v]
    raw = [None, b"", b"text", "ü€\U0001f44b".encode(), b"bad \xff\xc3( \xed\xa0\x80 \xf0\x9f\x91"]
    cases += [read(STRING, r) for r in raw]
    latin = {"converter.encoding": "ISO-8859-1"}
    cases += [read(STRING, b"\xfc\xff", latin), write(STRING, t("STRING"), {"string": "ü€"}, latin)]
    wide = {"converter.encoding": "UTF-16"}
    cases += [
        read(STRING, "ab".encode("utf-16-be"), wide),
        write(STRING, None, {"string": "a"}, wide),
    ]
    cases += [read(BYTES, r) for r in raw]
    cases += [write(BYTES, s, v) for s, v in TYPED[:4] + TYPED[-1:]]
    cases += [write(BYTES, s, {"bytes": "AQI="}) for s in (None, t("BYTES"), t("STRING"))]
    return cases


def header_cases() -> list[Json]:
    cases = [read(SIMPLE, literal, side="header") for literal in LITERALS]
    cases += [read(SIMPLE, None, side="header"), read(SIMPLE, b"\xff\xfe", side="header")]
    cases += [write(SIMPLE, s, v, side="header") for s, v in TYPED]
    cases += [write(SIMPLE, None, v, side="header") for v in SCHEMALESS]
    return cases


def number_cases() -> list[Json]:
    values = {
        "Boolean": {"boolean": True},
        "Short": {"int16": -2},
        "Integer": {"int32": 258},
        "Long": {"int64": "-3"},
        "Float": {"float": "1.5"},
        "Double": {"double": "-0.1"},
    }
    types = {
        "Boolean": "BOOLEAN",
        "Short": "INT16",
        "Integer": "INT32",
        "Long": "INT64",
        "Float": "FLOAT32",
        "Double": "FLOAT64",
    }
    cases = []
    for name, cls in NUMBERS.items():
        cases += [write(cls, t(types[name]), values[name]), write(cls, None, None)]
        cases += [write(cls, t("STRING"), {"string": "x"}), write(cls, None, {"string": "x"})]
        cases += [read(cls, None), read(cls, b"\x01"), read(cls, b"\x00\x01")]
        cases += [read(cls, b"\x40\x00\x00\x01"), read(cls, b"\xbf\xf0\x00\x00\x00\x00\x00\x02")]
    return cases


def main() -> None:
    cases = json_cases() + text_cases() + header_cases() + number_cases()
    json.dump(cases, sys.stdout, ensure_ascii=True)


if __name__ == "__main__":
    main()
