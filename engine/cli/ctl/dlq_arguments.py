"""The command line of ``engine ctl dlq``."""

import argparse
from collections.abc import Callable
from typing import Any

from engine.model.letters.place import place_of

AddAction = Callable[..., argparse.ArgumentParser]
"""Adds an action: its name, what it does, the function, and the module that has it."""


def add_dead_letter_actions(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", add_action: AddAction
) -> None:
    """Add ``ls``, ``show``, ``edit``, ``replay`` and ``purge``."""

    def action(name: str, text: str) -> argparse.ArgumentParser:
        module = f"dlq_{name}" if name in ("replay", "purge") else "dlq"
        parser = add_action(actions, name, text, name, module)
        parser.add_argument("name", metavar="NAME", help="the connector")
        return parser

    ls = action("ls", "dead letters of a connector, counted by cause")
    _add_where(ls)
    ls.add_argument("--after", default="", metavar="LETTER", help="show only letters behind it")
    ls.add_argument(
        "--limit", type=_number, default=20, metavar="K",
        help="so many letters below the counts (default 20, at most 500)",
    )  # fmt: skip
    show = action("show", "all about one dead letter")
    _add_letter(show)
    _add_edit(action("edit", "change a dead letter; the original is kept beside it"))
    replayed = "send dead letters again, to the topics where their records were or were to go"
    _add_replay(action("replay", replayed))
    purge = action("purge", "take dead letters away for good")
    _add_where(purge)
    _add_all_and_dry_run(purge)


def _add_edit(edit: argparse.ArgumentParser) -> None:
    _add_letter(edit)
    for side in ("key", "value"):
        given = edit.add_mutually_exclusive_group()
        given.add_argument(f"--{side}", metavar="TEXT", help=f"the new {side}")
        given.add_argument(f"--{side}-file", metavar="FILE", help="read it from there, as it is")
        given.add_argument(f"--null-{side}", action="store_true", help="none")
    edit.add_argument(
        "--header", action="append", default=[], type=_header, metavar="NAME=TEXT",
        help="set a header, in the place of all of its name; may be repeated",
    )  # fmt: skip
    edit.add_argument(
        "--null-header", action="append", default=[], metavar="NAME", help="a header without value"
    )
    edit.add_argument(
        "--remove-header", action="append", default=[], metavar="NAME", help="take headers away"
    )
    edit.add_argument("--revert", action="store_true", help="back to the original")


def _add_replay(replay: argparse.ArgumentParser) -> None:
    _add_where(replay)
    _add_all_and_dry_run(replay)
    replay.add_argument(
        "--again", action="store_true",
        help="letters too that were replayed, or whose record has failed again after a replay",
    )  # fmt: skip
    replay.add_argument("--to", metavar="TOPIC", help="another topic instead")
    replay.add_argument("--rate", type=_number, metavar="N", help="at most N letters a second")


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--where", action="append", default=[], metavar="CONDITION",
        help="only letters of which it holds: stage=TASK_PUT, cause=DataError, time>=-2h, "
        "offset<100, value.customer.id=17, message~timed.out; several must all hold",
    )  # fmt: skip
    parser.add_argument(
        "--queue", choices=("all", "file", "topic"), default="all",
        help="only letters in the worker's file, or in the topic (default all)",
    )  # fmt: skip


def _add_all_and_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="all letters")
    parser.add_argument("--dry-run", action="store_true", help="only say how many they are")


def _add_letter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "letter", metavar="LETTER", type=_letter,
        help="its name, from ls: 17 in the worker's file, 0@17 in a topic",
    )  # fmt: skip


def _letter(text: str) -> str:
    try:
        return str(place_of(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text} is no header; expected NAME=TEXT")
    return name, value


def _number(text: str) -> Any:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text} is no whole number")
    return int(text)
