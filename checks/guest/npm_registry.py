"""An npm registry on loopback, with one package, which is made on request."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def packed(files: Mapping[str, str]) -> bytes:
    """A package's tarball, as `npm pack` makes it: everything is below package/."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


@contextmanager
def registry(port: int, name: str, version: str, files: Mapping[str, str]) -> Iterator[list[str]]:
    """Serve the package. Yields the requested paths as they arrive.

    files: the package's content. name and version are added to its package.json.
    """
    manifest = {**json.loads(files["package.json"]), "name": name, "version": version}
    tarball = packed({**files, "package.json": json.dumps(manifest)})
    place = f"/{name}/-/{name}-{version}.tgz"
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    dist = {"tarball": f"http://127.0.0.1:{port}{place}", "integrity": integrity}
    document = {
        "name": name,
        "dist-tags": {"latest": version},
        "versions": {version: {**manifest, "dist": dist}},
    }
    asked: list[str] = []

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = {f"/{name}": json.dumps(document).encode(), place: tarball}.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are in the list. Everything else, such as an audit, is not available."""

    with ThreadingHTTPServer(("127.0.0.1", port), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
