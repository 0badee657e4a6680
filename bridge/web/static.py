"""The page's files: from memory, compressed once, with ETags. Only what lies in the dashboard folder is ever served."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

# Types are named here, not asked of the operating system, whose registry is often wrong about .js.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
VENDOR_PLOTLY = "vendor/plotly.min.js"

# Our own files may change with the next start, so browsers ask each time and mostly get 304; Plotly is 4.8 MB and
# changes only with a new version of the package, so a week is fine.
CACHE_OWN = "no-cache"
CACHE_VENDOR = "public, max-age=604800"


class Asset(NamedTuple):
    """A file ready to be sent."""

    body: bytes
    gzipped: bytes | None  # None when compression gains nothing
    etag: str
    content_type: str
    cache: str
    stamp: tuple[int, int]  # mtime_ns and size of the file it was read from


class Assets:
    """All files below `root`, by their path within it; read again when they change on disk."""

    def __init__(self, root: Path, plotly: Path | None) -> None:
        self._root = root.resolve()
        self._plotly = plotly
        self._assets: dict[Path, Asset] = {}  # by path, not by name: one file has endless names (".//./x.js")
        self._reading = asyncio.Lock()  # so that many first requests compress Plotly once

    async def response(self, name: str, request: web.Request) -> web.Response:
        """The file, a 304, or 404.

        Raises:
            web.HTTPNotFound: there is no such file in the folder.
        """
        path = self._path(name)
        if path is None:
            raise web.HTTPNotFound
        status = path.stat()
        asset = self._assets.get(path)
        if asset is None or asset.stamp != (status.st_mtime_ns, status.st_size):
            async with self._reading:
                asset = self._assets.get(path)
                if asset is None or asset.stamp != (status.st_mtime_ns, status.st_size):
                    cache = CACHE_VENDOR if name == VENDOR_PLOTLY else CACHE_OWN
                    asset = await asyncio.to_thread(_read, path, cache)
                    self._assets[path] = asset
        headers = {"ETag": asset.etag, "Cache-Control": asset.cache, "Vary": "Accept-Encoding"}
        if asset.etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = asset.content_type
        if asset.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=asset.gzipped, headers=headers)
        return web.Response(body=asset.body, headers=headers)

    def _path(self, name: str) -> Path | None:
        if name == VENDOR_PLOTLY:
            return self._plotly
        if "\0" in name or "\\" in name:
            return None
        try:
            path = (self._root / name).resolve()
            # resolve() has followed links and "..": what is outside now was meant to be.
            if not path.is_relative_to(self._root) or path.suffix not in TYPES or not path.is_file():
                return None
        except (OSError, ValueError, RuntimeError):  # the last: a loop of links
            return None  # no name that this file system could have
        return path


def _read(path: Path, cache: str) -> Asset:
    status = path.stat()
    body = path.read_bytes()
    gzipped: bytes | None = gzip.compress(body, 6, mtime=0)
    if gzipped is not None and len(gzipped) > len(body) * 0.9:
        gzipped = None
    content_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Asset(body, gzipped, etag, content_type, cache, (status.st_mtime_ns, status.st_size))
