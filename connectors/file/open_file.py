"""An open file that is read forward from some position, plain or through gzip."""

import os
import zlib

GZIP_READ = 1 << 16
GZIP_WINDOW = 31  # zlib's number for the gzip format


class OpenFile:
    """A descriptor with its place in the file; whoever makes it hands the descriptor over.

    Attributes:
        inode: which file it is, on its file system, whatever its name is now.
        size: bytes in the file when it was last looked at.
    """

    def __init__(self, fd: int, position: int, *, most: int, is_gzip: bool) -> None:
        status = os.fstat(fd)
        self.device, self.inode, self.size = status.st_dev, status.st_ino, status.st_size
        self._fd = fd
        self._is_gzip = is_gzip
        self._most = most
        self.start_at(position)

    def start_at(self, position: int) -> None:
        """Read on from here; a position in a compressed file counts what comes out of it."""
        self._decoder = GzipDecoder(self._most) if self._is_gzip else None
        self._raw_position = 0 if self._is_gzip else position
        self._to_skip = position if self._is_gzip else 0

    def look(self) -> bool:
        """Take the file's size anew; False when it is shorter than what was read of it."""
        self.size = os.fstat(self._fd).st_size
        return self.size >= self._raw_position

    @property
    def unread(self) -> int:
        """Bytes of the file that were not read yet."""
        return max(self.size - self._raw_position, 0)

    @property
    def is_behind(self) -> bool:
        """Whether the position asked for was not reached yet."""
        return self._to_skip > 0

    @property
    def modified_ns(self) -> int:
        """When the file was written to for the last time."""
        return os.fstat(self._fd).st_mtime_ns

    def read(self) -> bytes | None:
        """The next bytes, possibly none of them while a position is looked for; None at the end."""
        if self._decoder is None:
            chunk = os.pread(self._fd, self._most, self._raw_position)
            self._raw_position += len(chunk)
            return chunk or None
        if self._decoder.has_more:
            return self._skipped(self._decoder.decode(b""))
        chunk = os.pread(self._fd, GZIP_READ, self._raw_position)
        self._raw_position += len(chunk)
        return self._skipped(self._decoder.decode(chunk)) if chunk else None

    def _skipped(self, data: bytes) -> bytes:
        skip = min(self._to_skip, len(data))
        self._to_skip -= skip
        return data[skip:] if skip else data

    def byte_before(self, position: int) -> bytes:
        """The byte in front of a position of a plain file."""
        return os.pread(self._fd, 1, position - 1) if position else b""

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


class GzipDecoder:
    """Compressed bytes in, at most so many bytes out, over any number of gzip members."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pending = b""
        self._member = zlib.decompressobj(wbits=GZIP_WINDOW)
        self.has_more = False

    def decode(self, chunk: bytes) -> bytes:
        """The next bytes; asked with nothing while ``has_more``.

        Raises:
            zlib.error: this is not gzip.
        """
        data = self._pending + chunk
        if self._member.eof:
            data = data.lstrip(b"\0")  # padding between members is allowed
            if not data:
                self._pending, self.has_more = b"", False
                return b""
            self._member = zlib.decompressobj(wbits=GZIP_WINDOW)
        out = self._member.decompress(data, self._most)
        self._pending = self._member.unused_data or self._member.unconsumed_tail
        self.has_more = bool(self._pending) or len(out) == self._most
        return out
