"""What ``docs/connector-guide.md`` shows, for tests that run it."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "connector-guide.md"


def blocks(language: str) -> list[str]:
    """The guide's blocks of this language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
