"""The static files of the pages, in memory: hashed names, immutable, compressed once. Fetching third-party files is assets.py."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(__file__).resolve().parent / "static"
SUFFIXES = {".css", ".js", ".svg", ".png", ".ico", ".webmanifest"}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file as it is served."""

    name: str
    content: bytes
    type: str

    @cached_property
    def hashed(self) -> str:
        """``app.css`` as ``app.1a2b3c4d5e.css``: another content has another name, so copies may be kept for ever."""
        stem, _, suffix = self.name.rpartition(".")
        return f"{stem}.{hashlib.sha256(self.content).hexdigest()[:10]}.{suffix}"

    @cached_property
    def packed(self) -> bytes:
        """gzip of the content."""
        return gzip.compress(self.content, 9, mtime=0)


class AssetStore:
    """All static files, read once at start."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._by_name: dict[str, Asset] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix in SUFFIXES:
                name = path.name
                kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(name)[0] or "application/octet-stream"
                self._by_name[name] = Asset(name, path.read_bytes(), kind)
        self._by_hash = {asset.hashed: asset for asset in self._by_name.values()}
        self.missing = [name for name in ("htmx.js", "idiomorph.js", "sortable.js", "icons.svg") if name not in self._by_name]

    def url(self, name: str) -> str:
        """The address of a file; KeyError for one that is not there."""
        return f"/static/{self._by_name[name].hashed}"

    def icons(self) -> frozenset[str]:
        """The names of the icons in the sprite."""
        text = self._by_name["icons.svg"].content.decode() if "icons.svg" in self._by_name else ""
        return frozenset(part.split('"', 1)[0] for part in text.split('<symbol id="')[1:])

    def respond(self, request: Request, hashed: str) -> Response | None:
        """The answer for a hashed name; None when there is no such file."""
        asset = self._by_hash.get(hashed)
        if asset is None:
            return None
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
        kind = f"{asset.type}; charset=utf-8" if asset.type.startswith("text/") or asset.type == "image/svg+xml" else asset.type
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)
        return Response(asset.content, headers=headers, media_type=kind)
