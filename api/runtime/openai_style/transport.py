"""Carries requests to a back end alone: the very address that was judged is connected to.

A host is looked up and judged for each request; what its name means a moment later does not matter.
"""

import asyncio
import ssl
from functools import lru_cache
from pathlib import Path

import httpx2

from api.errors import InvalidOption, Unavailable
from api.runtime.openai_style.addresses import resolved


@lru_cache(maxsize=2)
def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Whom to believe to be who they say, those whom the CAs of a file have signed among them: read once, for it takes
    a tenth of a second. `OSError` for a file that cannot be read or holds no certificate.
    """
    context = httpx2.create_ssl_context(trust_env=False)
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def network(ca_file: Path | None = None) -> httpx2.AsyncHTTPTransport:
    """A transport that really goes somewhere."""
    return httpx2.AsyncHTTPTransport(
        verify=trusted(ca_file),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
        trust_env=False,
    )


class JudgedTransport(httpx2.AsyncBaseTransport):
    """A transport over another one."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it to the first address of its host that can be connected to."""
        url = request.url
        encrypted = url.scheme == "https"
        port = url.port or (443 if encrypted else 80)
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
                addresses = await resolved(url.host, port, encrypted=encrypted)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"{url.host} is not found in time.") from error
        except InvalidOption as error:  # it was allowed when it was given
            raise httpx2.UnsupportedProtocol(error.detail) from error
        except Unavailable as error:
            raise httpx2.ConnectError(error.detail) from error
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        for address in addresses[:-1]:
            request.url = url.copy_with(host=address)
            try:
                return await self._inner.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        request.url = url.copy_with(host=addresses[-1])
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
