"""Refusals in Cloudinary's form: `{"error": {"message"}}`."""

from __future__ import annotations

from aiohttp import web


class Refusal(Exception):
    """A call ends with this answer."""

    def __init__(self, message: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}

    def answer(self) -> web.Response:
        """As the APIs say it."""
        body = {"error": {"message": str(self)}}
        return web.json_response(body, status=self.status, headers=self.headers)

    def delivered(self) -> web.Response:
        """As the delivery network says it: the words are in a header."""
        return web.Response(status=self.status, headers={"X-Cld-Error": str(self), **self.headers})


def missing(name: str) -> Refusal:
    return Refusal(f"Missing required parameter - {name}")
