"""The next page of a list (distribution-spec, listing tags and referrers; RFC 8288)."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from yarl import URL

from ocisource.domain.access import Access
from ocisource.domain.errors import RegistryError
from ocisource.registry import places
from ocisource.registry.errors import shown
from ocisource.registry.replies import Reply

_WHOLE = re.compile(r"<[^>]*>")
_LINK = re.compile(r"<(?P<target>[^<>]*)>(?P<parameters>[^<,]*)")
_REL = re.compile(r";\s*rel\s*=\s*\"?(?P<rel>[^\";]*)", re.IGNORECASE)


def next_page(reply: Reply, access: Access) -> str | None:
    """Path and query of the next page, None where this was the last. Raises RegistryError where the link leads
    away from the registry: the request would carry its credentials.

    Only the path is taken, so that a registry behind a proxy, which may not know its own scheme, is understood.
    """
    links = ",".join(reply.headers.getall("Link", []))
    if links and not _WHOLE.match(links):
        missing = ">" if links.startswith("<") else "<"
        raise RegistryError(f"failed to parse link header: missing '{missing}' in: {links}")
    for link in _LINK.finditer(links):
        relation = _REL.search(link["parameters"])
        if link["target"] and (relation is None or "next" in relation["rel"].lower().split()):
            return _path(reply, link["target"], access)
    return None


def _path(reply: Reply, target: str, access: Access) -> str:
    try:
        url = URL(urljoin(str(reply.url), target), encoded=True)
        ours = places.is_registry(url, access) or places.same_origin(url, reply.url)
    except ValueError:
        ours = False
    if not ours:
        raise RegistryError(f"{reply.method} {shown(reply.url)}: the link to the next page leads to another host")
    return url.raw_path_qs
