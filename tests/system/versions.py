"""Versions of the engine beside each other, as environments that a link chooses from."""

import shutil
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Versions:
    """``NAME/bin/engine`` for each version, and ``current``, a link to one of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        self.command = directory / "current" / "bin" / "engine"

    def make(self, name: str, *changes: tuple[str, str, str]) -> None:
        """A version: this one with some texts replaced: (file, old, new)."""
        root = self._directory / name
        venv.create(root / "env", symlinks=True)
        for package in ("engine", "connectors"):
            shutil.copytree(
                ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        for file, old, new in changes:
            text = (root / file).read_text()
            assert old in text, f"{old} is not in {file}"
            (root / file).write_text(text.replace(old, new, 1))
        python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        paths = root / "env" / "lib" / python / "site-packages" / "engine.pth"
        paths.write_text(f"{root}\n{sysconfig.get_path('purelib')}\n")
        (root / "bin").mkdir()
        script = root / "bin" / "engine"
        script.write_text(
            f"#!{root / 'env' / 'bin' / 'python'} -P\n"
            "from engine.cli.main import main\n"
            "raise SystemExit(main())\n"
        )
        script.chmod(0o755)

    def choose(self, name: str) -> None:
        """Let ``current`` be this version, whether or not it exists."""
        draft = self._directory / "draft"
        draft.symlink_to(name)
        draft.rename(self._directory / "current")
