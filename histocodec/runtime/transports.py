"""How bytes of a URL are asked for: HTTP and S3 by ranges whose answers say which file they are of, others by fsspec.

Every class here makes one attempt. Messages have words of this module alone: those of libraries can quote a URL with a
signature in it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from ..errors import FileError, MissingFile

MOST_WHOLE_BYTES = 64 << 20
"""Longest file that is taken whole from a server that gives no parts of it."""
CONNECT_S = 10
"""Seconds in which a server must be reached."""
SILENCE_S = 30
"""Seconds without a byte after which a request has failed."""

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
"""Statuses after which the same request may succeed."""
_FACTS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "modified", "updated", "generation", "md5Hash")
"""What file systems of fsspec call the facts by which one file is told from the next of its name."""
CREDENTIALS = "credentials are taken from the environment (docs/remote.md says how)"


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes of a file, and which file that is."""

    data: bytes
    size: int
    """Length of the file in bytes."""
    identity: Hashable
    """Equal as long as the file is the same."""
    is_whole: bool = False
    """True if `data` is all of the file, whatever was asked for."""


class Failed(Exception):
    """An attempt failed in a way that the next one may not."""

    def __init__(self, reason: str, wait_s: float = 0) -> None:
        """State the reason. wait_s: seconds that the server asks to wait."""
        self.wait_s = wait_s
        super().__init__(reason)


class Transport(Protocol):
    """A way to the bytes of one URL."""

    def get(self, offset: int, length: int) -> Answer:
        """Return bytes from `offset`, fewer at the file's end. Raises Failed, FileError."""


def connect(url: str, name: str) -> Transport:
    """Choose the transport for a URL. name: for messages. Raises FileError."""
    file_system, path = file_system_of(url, name)
    simple = "::" not in url
    if simple and url.lower().startswith(("http://", "https://")):
        return HttpTransport(file_system, path, name)
    if simple and "s3" in file_system.protocol:
        return S3Transport(file_system, path, name)
    return OtherTransport(file_system, path, name)


def file_system_of(url: str, name: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path on it. name: for messages. Raises FileError."""
    try:
        import fsspec.core

        is_http = "::" not in url and url.lower().startswith(("http://", "https://"))
        options = {"client_kwargs": {"trust_env": True}} if is_http else {}  # proxies, and ~/.netrc
        file_system, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        missing = f": {error.name} is missing" if error.name else ""
        raise FileError(
            name,
            f"reading from servers takes packages that are not installed{missing}: pip install 'histocodec[remote]'"
            " has those for https:// and s3://",
        ) from None
    except (OSError, ValueError) as error:
        protocol = url.partition(":")[0]
        known = protocol in fsspec.available_protocols()
        reason = f"cannot be opened: {type(error).__name__}" if known else f"no file system is known for {protocol}://"
        raise FileError(name, reason) from None
    return file_system, path


class HttpTransport:
    """Ranges of an http:// or https:// URL, over fsspec's session."""

    def __init__(self, file_system: Any, url: str, name: str) -> None:
        """Take fsspec's file system. name: for messages."""
        self._fs, self._url, self._name = file_system, url, name

    def get(self, offset: int, length: int) -> Answer:
        """Return bytes from `offset`, fewer at the file's end. Raises Failed, FileError."""
        import aiohttp
        from fsspec.asyn import sync

        try:
            answer = sync(self._fs.loop, self._get, offset, length)
        except (aiohttp.InvalidURL, aiohttp.ClientConnectorCertificateError, aiohttp.TooManyRedirects) as error:
            raise FileError(self._name, f"cannot be read: {_words(error)}") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if isinstance(error, FileError):
                raise
            raise Failed(_words(error)) from None
        assert isinstance(answer, Answer)
        return answer

    async def _get(self, offset: int, length: int) -> Answer:
        import aiohttp

        session = await self._fs.set_session()
        # Another encoding would give ranges of other bytes.
        headers = {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        async with session.get(self._fs.encode_url(self._url), headers=headers, timeout=timeout) as response:
            facts = response.headers
            identity = (facts.get("ETag"), facts.get("Last-Modified"))
            if response.status == HTTPStatus.PARTIAL_CONTENT:
                start, stop, size = content_range(facts.get("Content-Range"), self._name)
                if start != offset:
                    raise FileError(self._name, f"asked for bytes from {offset}, the server gave those from {start}")
                data = await _at_most(response.content, length, self._name)
                if len(data) < stop - start:
                    raise Failed("the connection was cut")
                return Answer(data, size, identity)
            if response.status == HTTPStatus.OK:
                data = await whole(response.content, facts.get("Content-Length"), self._name)
                return Answer(data, len(data), identity, is_whole=True)
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # nothing from there on
                size = facts.get("Content-Range", "").rpartition("/")[2]
                return Answer(b"", int(size) if size.isdecimal() else 0, identity)
            raise _refusal(response.status, facts, self._name)


class S3Transport:
    """Ranges of an object, over s3fs, which knows where credentials and endpoints are configured."""

    def __init__(self, file_system: Any, path: str, name: str) -> None:
        """Take fsspec's file system. name: for messages."""
        self._fs, self._name = file_system, name
        bucket, key, version = file_system.split_path(path)
        self._object = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}

    def get(self, offset: int, length: int) -> Answer:
        """Return bytes from `offset`, fewer at the file's end. Raises Failed, FileError."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        from fsspec.asyn import sync

        try:
            answer = sync(self._fs.loop, self._get, offset, length)
        except FileError:
            raise
        except NoCredentialsError:
            raise FileError(self._name, f"no credentials were found; {CREDENTIALS}") from None
        except (ClientError, BotoCoreError, OSError, TimeoutError) as error:  # tried again by s3fs, where that may help
            cause = error if isinstance(error, ClientError) else error.__cause__
            if not isinstance(cause, ClientError):
                raise FileError(self._name, f"cannot be read: {_words(error)}") from None
            metadata = cause.response.get("ResponseMetadata", {})
            if cause.response.get("Error", {}).get("Code") == "InvalidRange":  # nothing from there on
                return Answer(b"", 0, None)
            raise _refusal(metadata.get("HTTPStatusCode", 0), metadata.get("HTTPHeaders", {}), self._name) from None
        assert isinstance(answer, Answer)
        return answer

    async def _get(self, offset: int, length: int) -> Answer:
        stated = f"bytes={offset}-{offset + length - 1}"
        response = await self._fs._call_s3("get_object", **self._object, Range=stated)
        identity = (response.get("ETag"), response.get("LastModified"), response.get("VersionId"))
        async with response["Body"] as body:
            try:
                if "ContentRange" not in response:
                    data = await whole(body, str(response.get("ContentLength", "")), self._name)
                    return Answer(data, len(data), identity, is_whole=True)
                start, stop, size = content_range(response["ContentRange"], self._name)
                data = await body.read()
            except (Failed, FileError):
                raise
            except Exception as error:  # aiohttp's, botocore's or the system's
                raise Failed(f"the connection was cut: {_words(error)}") from None
        if start != offset or len(data) < stop - start:
            raise Failed("the connection was cut")
        return Answer(data, size, identity)


class OtherTransport:
    """Ranges of any file system that fsspec knows. After each it asks whether the file is still the same."""

    def __init__(self, file_system: Any, path: str, name: str) -> None:
        """Take fsspec's file system. name: for messages."""
        self._fs, self._path, self._name = file_system, path, name

    def get(self, offset: int, length: int) -> Answer:
        """Return bytes from `offset`, fewer at the file's end. Raises Failed, FileError."""
        try:
            size = self._facts()[0]
            data = self._fs.cat_file(self._path, start=offset, end=min(offset + length, size)) if size > offset else b""
            size, identity = self._facts()
        except FileError:
            raise
        except FileNotFoundError:
            raise MissingFile(self._name, "No such file or directory") from None
        except PermissionError:
            raise FileError(self._name, f"access was refused; {CREDENTIALS}") from None
        except (ConnectionError, TimeoutError) as error:
            raise Failed(_words(error)) from None
        except Exception as error:  # of any of some forty libraries
            raise FileError(self._name, f"cannot be read: {_words(error)}") from None
        return Answer(data, size, identity)

    def _facts(self) -> tuple[int, Hashable]:
        """Return size and identity as they are now."""
        self._fs.invalidate_cache()
        facts: Mapping[str, Any] = self._fs.info(self._path)
        size = facts.get("size")
        if facts.get("type") == "directory" or not isinstance(size, int):
            raise FileError(self._name, "expected a file whose length is known")
        return size, tuple(str(facts[key]) for key in _FACTS if key in facts)


def content_range(text: str | None, name: str) -> tuple[int, int, int]:
    """Parse `bytes 0-15/4823`: the first byte, the one behind the last, and the file's length. Raises FileError.

    Examples:
        >>> content_range("bytes 0-15/4823", "slide")
        (0, 16, 4823)
    """
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", (text or "").strip())
    if found is None:
        raise FileError(name, f"the server gives parts of the file without its length: Content-Range: {text}")
    first, last, size = map(int, found.groups())
    return first, last + 1, size


async def whole(stream: Any, stated: str | None, name: str) -> bytes:
    """Read all of a file that is not too long, from a server that gives no parts of it. Raises Failed, FileError."""
    size = int(stated) if stated and stated.isdecimal() else None
    refusal = FileError(
        name,
        f"the server gives no parts of files, and {'this one' if size is None else f'all {size / 1e6:.0f} MB of this'} "
        f"would have to be read; only up to {MOST_WHOLE_BYTES >> 20} MiB are: copy it, or use a server with ranges",
    )
    if size is not None and size > MOST_WHOLE_BYTES:
        raise refusal
    data = await _at_most(stream, MOST_WHOLE_BYTES + 1, name)
    if len(data) > MOST_WHOLE_BYTES:
        raise refusal
    if size is not None and len(data) < size:
        raise Failed("the connection was cut")
    return data


async def _at_most(stream: Any, length: int, name: str) -> bytes:
    """Read a stream to its end. Raises FileError if it has more than `length` bytes and they were asked for."""
    parts: list[bytes] = []
    count = 0
    while count < length and (part := await stream.read(min(1 << 20, length - count))):
        parts.append(part)
        count += len(part)
    return b"".join(parts)


def _refusal(status: int, headers: Mapping[str, str], name: str) -> Exception:
    """Return the error for a status that is no success."""
    known = status in HTTPStatus._value2member_map_
    said = f"{status} {HTTPStatus(status).phrase}" if known else f"status {status}"
    if status in _AGAIN:
        wait = headers.get("Retry-After", headers.get("retry-after", ""))
        return Failed(f"the server answered {said}", float(wait) if wait.isdecimal() else 0)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return MissingFile(name, f"no such file: the server answered {said}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return FileError(name, f"access was refused: the server answered {said}; {CREDENTIALS}")
    return FileError(name, f"cannot be read: the server answered {said}")


def _words(error: BaseException) -> str:
    """Say what went wrong without the library's own text, unless that is the operating system's."""
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "the server does not answer"
    text = getattr(error, "strerror", None)
    number = getattr(error, "errno", None)
    return str(text) if text and isinstance(number, int) and number > 0 else type(error).__name__
