"""Fetch one file over HTTP: resumed after a broken connection, verified, put in place whole."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout
from tqdm import tqdm

from tripletnet.errors import InputError
from tripletnet.files import PathLike

logger = logging.getLogger(__name__)


class DownloadError(InputError):
    """A file could not be fetched. The message names the URL, the cause and what to do."""


class _Failed(Exception):
    """One try failed; `transient` tells whether another one may do better."""

    def __init__(self, cause: str, transient: bool) -> None:
        super().__init__(cause)
        self.transient = transient


def download(
    url: str,
    path: PathLike,
    md5: str,
    size: int | None = None,
    *,
    progress: bool = True,
    retries: int = 4,
    timeout: float = 20.0,
    pause: float = 0.5,
) -> Path:
    """Fetch `url` to `path`, unless the right file lies there already.

    What has arrived lies in a ``.part`` file beside `path` until it is whole, so that a later try,
    also of another process, goes on from there. Processes that want the same `path` at the same
    time wait for each other and fetch it once.

    Parameters
    ----------
    url : str
        An ``http://`` or ``https://`` address.
    path : str or Path
        Where the file is to lie. A file with another MD5 that lies there is replaced.
    md5 : str
        The MD5 of the whole file, 32 lower-case hexadecimal digits.
    size : int, optional
        Its length in bytes, if known: a server that offers another length is refused at once.
    progress : bool, default True
        Show a bar on standard error, if that is a terminal.
    retries : int, default 4
        How often to try again after a broken connection or a server's passing trouble. A server
        that cannot be reached and has given nothing yet is not tried again.
    timeout : float, default 20
        Seconds of silence after which a connection counts as broken.
    pause : float, default 0.5
        Seconds before the first retry, doubled for each further one.

    Returns
    -------
    Path
        `path`, holding the file with this MD5.

    Raises
    ------
    DownloadError
        If the file cannot be fetched, is not the one expected, or cannot be saved.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _holds(path, md5):
            return path
        with _lock(path):
            if not _holds(path, md5):  # another process may have fetched it meanwhile
                for attempt in itertools.count(1):
                    try:
                        _try(url, part, md5, size, progress, timeout)
                        break
                    except _Failed as failure:
                        if attempt > retries or not failure.transient:
                            again = " to go on from there" if part.exists() else ""
                            raise DownloadError(
                                f"{url}: download failed at try {attempt}: {failure}; run again"
                                f"{again}, or get the file in another way and save it as {path}"
                            ) from None
                        logger.info("%s: %s; trying again", url, failure)
                    time.sleep(pause * 2 ** (attempt - 1))
                part.replace(path)
    except OSError as error:
        raise DownloadError(
            f"{url}: cannot be saved as {path} ({error.strerror or error}); make room and allow "
            "writing there, or choose another place"
        ) from None
    return path


def _try(url: str, part: Path, md5: str, size: int | None, progress: bool, timeout: float) -> None:
    """Fetch what is missing from `part` and verify the whole; remove it if it is wrong."""
    start = _transfer(url, part, size, progress, timeout)
    came = _md5(part)
    if came != md5:
        length = part.stat().st_size
        part.unlink()
        # pieces of several tries may not belong together; what came in one piece is what they have
        raise _Failed(
            f"what came ({length:,} bytes) is another file or damaged (its md5 is {came}, not "
            f"{md5}) and was removed",
            transient=start > 0,
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _transfer(url: str, part: Path, size: int | None, progress: bool, timeout: float) -> int:
    """Append to `part` what it lacks; return from which byte on the server sent."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have >= size:
        return have
    response = _ask(url, have, timeout)
    if response is None:
        return have
    with response:
        start, total = _extent(response, have)
        if start is None:
            part.unlink(missing_ok=True)
            raise _Failed("the server answers with another range than was asked", transient=True)
        if None not in (size, total) and size != total:
            raise _Failed(
                f"the server offers {total:,} bytes where the file has {size:,}", transient=False
            )
        whole = total if size is None else size
        length = start
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(
                desc=part.stem,
                initial=start,
                total=whole,
                unit="B",
                unit_scale=True,
                disable=None if progress else True,
            ) as bar,
        ):
            for chunk in _chunks(response):
                file.write(chunk)
                bar.update(len(chunk))
                length += len(chunk)
                if whole is not None and length > whole:
                    break  # the MD5 will not fit; no need to fill the disk
    if whole is not None and length < whole:
        raise _Failed(
            f"the connection broke off after {length:,} of {whole:,} bytes", transient=True
        )
    return start


def _ask(url: str, have: int, timeout: float) -> Any:
    """Open what comes after the first `have` bytes; None if the server says there is nothing."""
    headers = {"User-Agent": "tripletnet"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        phrase = http.client.responses.get(error.code, "")
        raise _Failed(
            f"the server answers {error.code} {phrase}".rstrip(),
            transient=error.code >= 500 or error.code in (408, 429),
        ) from None
    except urllib.error.URLError as error:
        # a machine without a network should learn so at once
        raise _Failed(
            f"the server cannot be reached ({error.reason})", transient=have > 0
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Failed(f"the server gives no proper answer ({error!r})", transient=True) from None


def _extent(response: Any, have: int) -> tuple[int | None, int | None]:
    """Return the file's byte that the answer begins with and the file's length, if told.

    The first is None where the answer is a part of the file, but not the one after `have` bytes.
    """
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, response.length
    told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if told is None or int(told[1]) != have:
        return None, None
    return have, None if told[2] == "*" else int(told[2])


def _chunks(response: Any) -> Iterator[bytes]:
    try:
        # read1 hands on at once what is there: nothing of it is lost when the connection breaks
        while chunk := response.read1(1 << 16):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _Failed(f"the connection broke off ({error!r})", transient=True) from None


def _lock(path: Path) -> AcquireReturnProxy:
    lock = FileLock(f"{path}.lock")
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        logger.warning("%s: another process is fetching it; waiting for that one", path)
        return lock.acquire()


def _holds(path: Path, md5: str) -> bool:
    return path.is_file() and _md5(path) == md5


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
