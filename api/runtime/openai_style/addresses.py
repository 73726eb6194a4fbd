"""Where a back end may be: anywhere over https, in private networks over http, and never where clouds keep secrets."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from api.errors import InvalidOption, Unavailable

Address = IPv4Address | IPv6Address

_PLAIN = tuple(
    ip_network(one)
    for one in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7")
)
"""Where plain http may go: no further than this machine and its private network."""
_NEVER = tuple(
    ip_network(one)
    for one in (
        *("169.254.0.0/16", "fe80::/10"),  # link-local: the metadata of most clouds
        *("fd00:ec2::/64", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
        *("0.0.0.0/8", "::", "224.0.0.0/4", "ff00::/8", "255.255.255.255"),
    )
)
_TRANSLATED = tuple(
    ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")
)
"""Whose last four bytes are an IPv4 address that a gateway asks instead."""
_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_LOOKUPS = ThreadPoolExecutor(8, "lookup")
"""Beside all other threads: where no name server answers, nobody but who looks up waits for it."""


def check_url(url: str) -> str:
    """The address without its last slash; `errors.InvalidOption` for what is none, or more than one."""
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        raise _refused("this is no address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_sound:
        raise _refused("an address begins with https:// and a host.")
    if parts.username or parts.password or parts.query or parts.fragment or "?" in url:
        raise _refused(
            "an address has no user, password, query or fragment; a key goes into `key`."
        )
    if not url.isprintable() or " " in url or not url.isascii():
        raise _refused("an address is of printable ASCII.")
    if parts.hostname.rstrip(".") in _NAMES:
        raise _forbidden(parts.hostname)
    return url.rstrip("/")


def require_allowed(address: str, host: str, *, encrypted: bool) -> None:
    """`errors.InvalidOption` for an address of a host that is not asked, or not without encryption."""
    found = _meant(ip_address(address.partition("%")[0]))
    if any(found in network for network in _NEVER if network.version == found.version):
        raise _forbidden(host)
    is_near = any(found in network for network in _PLAIN if network.version == found.version)
    if not encrypted and not is_near:
        raise _refused(
            f"{host} is neither this machine nor in a private network, and plain http would show the key and every "
            "question on the way. Use https."
        )


async def resolved(host: str, port: int, *, encrypted: bool) -> list[str]:
    """The addresses of a host, each of which may be asked: one that may not is enough to refuse the host."""
    try:
        found: list[Any] = await asyncio.get_running_loop().run_in_executor(
            _LOOKUPS, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        )
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"The host {host} cannot be found: {error}.") from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    for address in addresses:
        require_allowed(address, host, encrypted=encrypted)
    return addresses


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and any(address in network for network in _TRANSLATED):
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and 1 < int(address) <= 0xFFFFFFFF:  # the form of before
        inner = IPv4Address(int(address))
    return inner or address


def _forbidden(host: str) -> InvalidOption:
    return _refused(
        f"{host} is no address of a back end: it is where a machine finds its own secrets, or nowhere."
    )


def _refused(why: str) -> InvalidOption:
    return InvalidOption.at("base_url", why)
