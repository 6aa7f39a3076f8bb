"""GET, HEAD and PUT of Bazel's HTTP cache in a session of fsspec's: read up to a limit, and never a word too late."""

from typing import Any

from stages.store.entry import Damaged

_CHUNK = 1 << 16
_MISSING = (404, 410)


class Refused(OSError):
    """A server does not allow what was asked, but goes on answering."""


def client_options(connect: float, silence: float) -> dict[str, Any]:
    """Of an aiohttp session: seconds to reach the server and between its bytes; proxies as the environment says."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=silence)
    # What a server compresses could unpack to any size, and HEAD would give another size.
    return {"timeout": timeout, "trust_env": True, "headers": {"Accept-Encoding": "identity"}}


async def get(system: Any, url: str, limit: int) -> bytes | None:
    """Body of a file, None where there is none; Damaged if it has more than `limit` bytes, or breaks off."""
    import aiohttp

    session = await system.set_session()
    async with session.get(url) as answer:
        if not _is_there(answer):
            return None
        data = bytearray()
        try:
            async for chunk in answer.content.iter_chunked(_CHUNK):
                data += chunk
                if len(data) > limit:
                    raise Damaged(f"has more than {limit} bytes")
        except aiohttp.ClientPayloadError as error:
            raise Damaged("breaks off") from error
        return bytes(data)


async def head(system: Any, url: str) -> int | None:
    """Bytes of a file, None where there is none or the server does not tell."""
    session = await system.set_session()
    async with session.head(url, allow_redirects=True) as answer:
        return answer.content_length if answer.status != 405 and _is_there(answer) else None


async def put(system: Any, url: str, data: bytes) -> None:
    """Write a file. Raises Refused if the server does not want it."""
    session = await system.set_session()
    async with session.put(url, data=data, allow_redirects=False) as answer:
        if answer.status not in (200, 201, 202, 204):
            raise Refused(f"it answers {answer.status} to PUT")


def _is_there(answer: Any) -> bool:
    if answer.status in _MISSING:
        return False
    if answer.status == 403:
        raise Refused("it answers 403, which may mean that it has no such file")
    if answer.status != 200:
        raise OSError(f"it answers {answer.status}")
    return True
