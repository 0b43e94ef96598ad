"""Lists of jars with their sizes and checksums: reading the ones that ship, making new ones.

``python -m engine.kafka.embedded.jar_lock GROUP:ARTIFACT:VERSION…`` prints the list of those
artifacts and of everything they need. Nothing is resolved when an engine runs: the list is all.
"""

import hashlib
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned file: Maven coordinate, size in bytes, SHA-256 in hexadecimal."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file in Maven's repositories and in the cache."""
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.sha256} {self.size} {self.group}:{self.artifact}:{self.version}"


def read_jar_lock(path: Path) -> tuple[Jar, ...]:
    """The jars of a list, in its order, which is the order of the class path."""
    lines = path.read_text("utf-8").splitlines()
    return tuple(_jar(line) for line in lines if line and not line.startswith("#"))


def _jar(line: str) -> Jar:
    sha256, size, coordinate = line.split()
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, int(size), sha256)


def digest_of(jars: Iterable[Jar]) -> str:
    """What tells one list from another."""
    return hashlib.sha256("\n".join(map(str, jars)).encode()).hexdigest()[:16]


def make_jar_lock(coordinates: Sequence[str], repository: Path) -> list[Jar]:
    """Resolve and download artifacts with all they need.

    Every coordinate is given to the resolver as *raw*: it would otherwise import the artifact's
    parents as dependency management, and those pin older versions (Log4j's parent names another
    release of the Kafka client) over the ones that Kafka was built with.
    """
    from jgo.maven import Dependency, MavenContext  # noqa: PLC0415  # the extra may be missing

    context = MavenContext(repo_cache=repository, timeout=60)
    wanted = [coordinate.split(":") for coordinate in coordinates]
    artifacts = [context.project(g, a).at_version(v).artifact() for g, a, v in wanted]
    raw = [Dependency(artifact, scope="compile", raw=True) for artifact in artifacts]
    inputs, needed = context.resolver.resolve(raw)
    found = [d for d in (*inputs, *needed) if d.scope in ("compile", "runtime") and not d.optional]
    jars = [
        _measured(Path(d.artifact.resolve()), d.groupId, d.artifactId, d.version) for d in found
    ]
    return sorted(jars, key=lambda jar: (jar.group, jar.artifact))


def _measured(path: Path, group: str, artifact: str, version: str) -> Jar:
    data = path.read_bytes()
    return Jar(group, artifact, version, len(data), hashlib.sha256(data).hexdigest())


def main(coordinates: Sequence[str]) -> None:
    """Print the list."""
    with tempfile.TemporaryDirectory() as repository:
        jars = make_jar_lock(coordinates, Path(repository))
    sys.stdout.write(f"# python -m engine.kafka.embedded.jar_lock {' '.join(coordinates)}\n")
    sys.stdout.writelines(f"{jar}\n" for jar in jars)


if __name__ == "__main__":
    main(sys.argv[1:])
