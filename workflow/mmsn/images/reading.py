"""The bytes of one image file and their digest, or the reason why there are none."""

import hashlib
from pathlib import Path

from mmsn.errors import UserError

OTHER_SUFFIXES = (".jpg", ".png", ".dcm")


class Unreadable(Exception):  # noqa: N818 -- a finding about one file, not a failure of the run
    """This file gives no radiograph; `reason` is short, fixed text without any path or id."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read(path: Path) -> bytes:
    """Read a whole image file.

    Raises:
        Unreadable: missing, empty, a folder, or not ours to read.
        UserError: the file system failed, which says nothing about the image.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise Unreadable(_missing(path)) from None
    except IsADirectoryError:
        raise Unreadable("a folder, not a file") from None
    except PermissionError:
        raise Unreadable("no permission to read") from None
    except OSError as error:  # a sick disk or network mount: to quarantine the image would hide it
        raise UserError(
            f"reading an image failed ({error.strerror}): check the data root's disk, then run again"
        ) from error
    if not data:
        raise Unreadable("empty file")
    return data


def digest(data: bytes | memoryview) -> str:
    """Digest of a file's or a row's bytes, 32 hexadecimal digits; `b2sum -l 128 FILE` prints the same."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _missing(path: Path) -> str:
    """Say which setting reads the other format of this image, where there is one: never take it unasked."""
    for suffix in OTHER_SUFFIXES:
        if suffix != path.suffix and path.with_suffix(suffix).is_file():
            return f"missing file, but there is one ending in {suffix} (images.file_suffix)"
    return "missing file"
