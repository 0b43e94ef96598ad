"""The connector configurations that are validated by the real thing: printed as JSON."""

import json
import sys

SINK = {"name": "s", "connector.class": "FileStreamSink", "topics": "a"}
SOURCE = {"name": "s", "connector.class": "FileStreamSource", "topic": "a"}
REGEX_ROUTER = {"transforms": "t", "transforms.t.type": "RegexRouter"}
TOMBSTONE = {"predicates": "p", "predicates.p.type": "RecordIsTombstone"}
SINKS: list[dict[str, str | None]] = [
    {}, {"topics": ""}, {"topics.regex": ".*"}, {"topics": "", "topics.regex": "a.*"},
    {"topics": "", "topics.regex": "["}, {"topics": "a,,b"}, {"topics": " "}, {"topics": "a,a"},
    {"errors.deadletterqueue.topic.name": "a"}, {"errors.deadletterqueue.topic.name": "d"},
    {"topics": "", "topics.regex": "a.*", "errors.deadletterqueue.topic.name": "ax"},
    {"errors.deadletterqueue.topic.replication.factor": "x"},
    {"errors.deadletterqueue.context.headers.enable": "yes"},
]  # fmt: skip
SOURCES: list[dict[str, str | None]] = [
    {}, {"name": ""}, {"name": " "}, {"name": "a\tb"}, {"name": None}, {"tasks.max": "0"}, {"tasks.max": "x"},
    {"tasks.max": ""}, {"tasks.max": " 2 "}, {"tasks.max": "99999999999"}, {"tasks.max.enforce": "maybe"},
    {"errors.tolerance": "some"}, {"errors.tolerance": "ALL"}, {"errors.tolerance": "all"},
    {"errors.retry.timeout": "x"}, {"errors.retry.timeout": "-5"}, {"errors.retry.delay.max.ms": "-1"},
    {"errors.log.enable": "1"}, {"config.action.reload": "later"}, {"config.action.reload": "NONE"},
    {"exactly.once.support": "maybe"}, {"exactly.once.support": "REQUIRED"},
    {"transaction.boundary": "poll"}, {"transaction.boundary": "x"},
    {"transaction.boundary.interval.ms": "0"}, {"transaction.boundary.interval.ms": "x"},
    {"offsets.storage.topic": ""}, {"offsets.storage.topic": " "},
    {"topic.creation.groups": "a,a"}, {"topic.creation.groups": "a,default"}, {"topic.creation.groups": "a"},
    {"transforms": "t"}, {"transforms": "t,t", "transforms.t.type": "RegexRouter"},
    {"transforms": "t", "transforms.t.type": "nope"}, {"transforms": "t", "transforms.t.type": ""},
    {"transforms": "t", "transforms.t.type": "java.lang.String"}, {"transforms": " "},
    {"transforms": "t,,u", "transforms.t.type": "RegexRouter"},
    REGEX_ROUTER, {**REGEX_ROUTER, "transforms.t.regex": "a", "transforms.t.replacement": "b"},
    {**REGEX_ROUTER, "transforms.t.regex": "(", "transforms.t.replacement": "b"},
    {**REGEX_ROUTER, "transforms.t.negate": "true"}, {**REGEX_ROUTER, "transforms.t.negate": "x"},
    {**REGEX_ROUTER, "transforms.t.predicate": "p"}, {**REGEX_ROUTER, **TOMBSTONE, "transforms.t.predicate": "p"},
    {"predicates": "p"}, {"predicates": "p,p"}, {"predicates": "p", "predicates.p.type": "nope"}, TOMBSTONE,
    {"predicates": "p", "predicates.p.type": "HasHeaderKey"},
    {"predicates": "p", "predicates.p.type": "HasHeaderKey", "predicates.p.name": ""},
    {"predicates": "p", "predicates.p.type": "TopicNameMatches", "predicates.p.pattern": "["},
    {"transforms": "t", "transforms.t.type": "InsertHeader"},
    {"transforms": "t", "transforms.t.type": "Filter"}, {"transforms": "t", "transforms.t.type": "DropHeaders"},
    {"key.converter": "nope"}, {"key.converter": "StringConverter"}, {"key.converter": ""},
    {"value.converter": "java.lang.String"}, {"header.converter": "SimpleHeaderConverter"},
]  # fmt: skip

cases = [{"kind": "sink", "config": {**SINK, **more}} for more in SINKS]
cases += [{"kind": "source", "config": {**SOURCE, **more}} for more in SOURCES]
json.dump(cases, sys.stdout)
