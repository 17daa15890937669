"""What an open server, one without an access key, answers to: programs on its own machine, and nobody else."""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from rekognition_emulator.api.rekognition import AccessDeniedException
from rekognition_emulator.http.sigv4 import Head

HOST_CHARS_MAX: Final = 261
"""Of a Host header: a name in DNS, a colon and a port."""

HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{0,5})?", re.IGNORECASE)
_PROXYING: Final = frozenset(
    {
        *(b"forwarded", b"via", b"cdn-loop", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip"),
        *(b"true-client-ip", b"fastly-client-ip", b"fly-client-ip"),  # Akamai, Cloudflare; Fastly; Fly
    }
)
_PROXYING_LEADS: Final = (
    *(b"x-forwarded-", b"x-original-"),
    *(b"cf-", b"x-envoy-", b"x-azure-", b"x-arr-", b"x-appengine-"),  # Cloudflare; Istio and others; Azure; Google
)
"""Headers of a request that another machine has sent, and what others begin with. Proxies add them to what they pass
on, some of themselves and some if they are told to. Not ``x-amzn-trace-id``, which AWS's balancers add, for SDKs do."""


def require_no_proxy(head: Head) -> None:
    """Returns if nothing tells that a proxy has passed the request on: then it may come from any machine.

    A proxy that speaks HTTP/1.1, calls us by a local name and adds nothing cannot be told from a program here.

    Raises:
        AccessDeniedException: something does; nginx, as it comes, speaks HTTP/1.0 and adds no header.
    """
    if head.http_version != "1.1" or any(name in _PROXYING or name.startswith(_PROXYING_LEADS) for name in head.names):
        raise AccessDeniedException(
            "Without an access key this server answers only to programs on its own machine, not through a proxy and "
            "not by HTTP/1.0: create a key."
        )


def require_local_name(head: Head) -> None:
    """Returns if the server is called by a name that only this machine means.

    A web page may let its own name point to this machine for a moment; a browser then takes our answers for its site's,
    and only the name that it has called tells. Whoever sends no name is no browser.

    Raises:
        AccessDeniedException: it is called by another one.
    """
    called = head.header("host")
    if called is not None and (len(called) > HOST_CHARS_MAX or not _is_local(called)):
        raise AccessDeniedException(
            "Without an access key this server answers only to localhost and the addresses of its own machine, not to "
            "another name in the Host header: create a key."
        )


@lru_cache(maxsize=64)
def _is_local(called: str) -> bool:
    found = HOST.fullmatch(called)
    if found is None:
        return False
    name = (found[1] or found[2]).lower()
    try:
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False
