"""What the machine did to a job, as one line: a full disk, a missing right, a file that is gone, a sick disk.

Libraries say it in their own ways: `OSError` with a number, or any exception whose text ends in `(os error 28)`.
"""

import errno
import re
from collections.abc import Iterator
from typing import Final

_NUMBER: Final = re.compile(r"\[?\bos ?error (\d+)|\[errno (\d+)\]", flags=re.IGNORECASE)
_GOES_ON: Final = "then the same command goes on from here"
_MENDING: Final = {
    errno.ENOSPC: f"no space left on its disk; free some, {_GOES_ON}",
    errno.EDQUOT: f"your quota on its disk is used up; free some, {_GOES_ON}",
    errno.EACCES: f"no permission; give yourself the right to read and write here, {_GOES_ON}",
    errno.EPERM: f"not permitted; give yourself the right to read and write here, {_GOES_ON}",
    errno.EROFS: f"its disk may only be read; mount it for writing, or set `results` to another folder, {_GOES_ON}",
    errno.ENOENT: "is not there, or was removed meanwhile; the same command makes it again if it is one of `results`",
    errno.EIO: f"its disk failed to read or write; look after the disk, {_GOES_ON}",
    errno.ENOMEM: f"no memory left; give the job more, or run fewer at once, {_GOES_ON}",
}


def error_number(error: BaseException) -> int | None:
    """The operating system's number behind an exception or what it was raised `from`; None where there is none."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno:
            return one.errno
        found = _NUMBER.search(str(one))
        if found:
            return int(found[1] or found[2])
        if isinstance(one, MemoryError):
            return errno.ENOMEM
    return None


def told(error: BaseException) -> str | None:
    """One line that names the file and the next step; None where the machine is not to blame."""
    mending = _MENDING.get(error_number(error) or 0)
    if mending is None:
        return None
    named = next((one.filename for one in _chain(error) if isinstance(one, OSError) and one.filename), None)
    return f"{named or 'a file of this job'}: {mending}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
