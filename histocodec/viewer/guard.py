"""What every answer is guarded by: who may ask, and what a browser may do with it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STYLE_OF_OPENSEADRAGON = "'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='"
"""The one style that OpenSeadragon writes into a page, by the hash of its text."""
_POLICY = (
    "default-src 'none'; script-src 'self'",
    f"style-src 'self' {_STYLE_OF_OPENSEADRAGON}",
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_DEEP_ZOOM = "/slide/"
"""Beginning of the addresses that other pages may read, if that was asked for."""


@dataclass(frozen=True)
class Guard:
    """An ASGI application in front of another: it checks who is asked, and states what is allowed with the answer.

    A page of another site can make a browser ask any address, under any name that its owner points here. So the name
    in `Host` must be one that this server goes by, and tiles are only for this server's own page.
    """

    app: ASGIApp
    names: Sequence[str] = ()
    """Names that this server goes by, besides `localhost` and addresses in numbers."""
    any_address: bool = False
    """True if addresses other than those of loopback are its own, too."""
    origins: Sequence[str] = ()
    """Origins whose pages may read tiles; `*` for all."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have the application answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        own = {**_HEADERS, **self._for_others(scope, headers)}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(own)
            await send(message)

        refused = self._refused(scope, headers)
        answer = self.app if refused is None else PlainTextResponse(refused, 403)
        await answer(scope, receive, guarded)

    def _refused(self, scope: Scope, headers: Headers) -> str | None:
        """Return why a request is refused; None if it is not."""
        if not self._is_own(headers.get("host", "")):
            return "This server does not go by that name. If it should: histocodec view --allow-host NAME\n"
        from_elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if from_elsewhere and scope["path"].startswith(_DEEP_ZOOM) and not self.origins:
            return "Tiles are for this server's own page. If they should not be: histocodec view --cors ORIGIN\n"
        return None

    def _is_own(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.removeprefix("[").removesuffix("]").lower()
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address or address.is_loopback

    def _for_others(self, scope: Scope, headers: Headers) -> dict[str, str]:
        """Return the headers that say whether pages of other sites may have the answer."""
        if not self.origins or not scope["path"].startswith(_DEEP_ZOOM):
            return {"Cross-Origin-Resource-Policy": "same-origin"}
        allowed = {"Cross-Origin-Resource-Policy": "cross-origin", "Vary": "Origin"}
        origin = headers.get("origin")
        if origin is not None and ("*" in self.origins or origin in self.origins):
            allowed["Access-Control-Allow-Origin"] = "*" if "*" in self.origins else origin
        return allowed
