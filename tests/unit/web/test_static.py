"""The page's files: only these, compressed, cached, and nothing else on this machine."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from bridge.web.static import Assets
from tests.unit.web.helpers import Site, running


async def test_files_are_served_with_their_type_and_an_etag(site: Site) -> None:
    for path, content_type in (
        ("/", "text/html; charset=utf-8"),
        ("/static/js/main.js", "text/javascript; charset=utf-8"),
        ("/static/img/favicon.svg", "image/svg+xml"),
        ("/favicon.ico", "image/svg+xml"),
    ):
        async with site.http.get(site.url + path) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == content_type
            assert response.headers["ETag"].startswith('"')
            assert response.headers["Cache-Control"] == "no-cache"
            assert response.headers["Vary"] == "Accept-Encoding"


async def test_what_has_not_changed_is_not_sent_again(site: Site, dashboard: Path) -> None:
    url = f"{site.url}/static/js/main.js"
    async with site.http.get(url) as response:
        etag = response.headers["ETag"]
    for asked in (etag, f'W/{etag}, "other"'):
        async with site.http.get(url, headers={"If-None-Match": asked}) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["ETag"] == etag
            assert response.headers["Cache-Control"] == "no-cache"
            assert "Content-Security-Policy" in response.headers
    async with site.http.get(url, headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200

    (dashboard / "js" / "main.js").write_text("export const answer = 43;", encoding="utf-8")
    async with site.http.get(url, headers={"If-None-Match": etag}) as response:
        assert response.status == 200
        assert await response.text() == "export const answer = 43;"
        assert response.headers["ETag"] != etag


async def test_gzip_is_sent_to_who_takes_it_and_where_it_helps(site: Site, dashboard: Path) -> None:
    plain = (dashboard / "js" / "main.js").read_bytes()
    for accept, encoding in (("gzip, br", "gzip"), ("identity", None)):
        answer = await site.raw(
            "GET /static/js/main.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Accept-Encoding: {accept}\r\n\r\n"
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (b"Content-Encoding: gzip" in head) == (encoding == "gzip")
        assert (gzip.decompress(body) if encoding else body) == plain
    async with site.http.get(f"{site.url}/static/js/tiny.js") as response:
        assert "Content-Encoding" not in response.headers


TRAVERSALS = [
    "/static/../secret.js",
    "/static/..%2fsecret.js",
    "/static/%2e%2e/secret.js",
    "/static/%2e%2e%2fsecret.js",
    "/static/.%2e/secret.js",
    "/static/%252e%252e%252fsecret.js",
    "/static/..%252fsecret.js",
    "/static/..%5csecret.js",
    "/static/..\\secret.js",
    "/static/..%c0%afsecret.js",
    "/static/js/../../secret.js",
    "/static/js/..%2f..%2fsecret.js",
    "/static/js/%2e%2e/%2e%2e/secret.js",
    "/static/....//secret.js",
    "/static/..;/secret.js",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/%2f%2fetc/passwd",
    "/static/file:///etc/passwd",
    "/static/js/main.js%00",
    "/static/js/main.js%00.html",
    "/static/%00",
    "/static/js",
    "/static/js/",
    "/static/.",
    "/static/..",
    "/static/notes.txt",
    "/static/js/main.js.gz",
    "/static/~root/secret.js",
    "/static/C:%5csecret.js",
    "/static/%ff%fe.js",
    "/static/%ed%a0%80.js",
    "/static/" + "a" * 300 + ".js",
    "/static/" + "a/" * 2_000 + "x.js",
    "/static/",
    "/static",
    "/js/main.js",
    "/index.html",
]


@pytest.mark.parametrize("target", TRAVERSALS, ids=[t[:50] for t in TRAVERSALS])
async def test_nothing_but_the_pages_files_is_served(site: Site, target: str) -> None:
    status, answer = await site.get_raw(target)
    assert status in (400, 404), answer[:300]
    assert b"the secret" not in answer
    assert b"root:" not in answer
    assert b"not a type" not in answer


async def test_symbolic_links_out_of_the_folder_are_refused(site: Site, dashboard: Path) -> None:
    (dashboard / "js" / "link.js").symlink_to(dashboard.parent / "secret.js")
    (dashboard / "out").symlink_to(dashboard.parent)
    (dashboard / "js" / "inside.js").symlink_to(dashboard / "js" / "tiny.js")
    (dashboard / "js" / "loop.js").symlink_to(dashboard / "js" / "loop.js")
    for target in ("/static/js/link.js", "/static/out/secret.js", "/static/js/loop.js"):
        status, answer = await site.get_raw(target)
        assert status == 404, answer
    assert (await site.get_raw("/static/js/inside.js"))[0] == 200


async def test_a_fifo_or_a_folder_is_not_a_file(site: Site, dashboard: Path) -> None:
    os.mkfifo(dashboard / "pipe.js")
    (dashboard / "folder.js").mkdir()
    assert (await site.get_raw("/static/pipe.js"))[0] == 404
    assert (await site.get_raw("/static/folder.js"))[0] == 404


async def test_the_many_names_of_a_file_are_remembered_as_one(site: Site) -> None:
    for number in range(50):
        await site.get_raw("/static/" + "./" * number + "js/main.js")
        await site.get_raw("/static/js/" + "%2f" * number + "main.js")
    assets: Assets = site.server._assets
    assert len(assets._assets) == 1


async def test_plotly_is_served_from_its_package_and_kept_for_long(dashboard: Path, tmp_path: Path) -> None:
    plotly = tmp_path / "plotly.min.js"
    plotly.write_text("plotly " * 1000, encoding="utf-8")
    async with running(dashboard, plotly=plotly) as site, site.http.get(f"{site.url}/static/vendor/plotly.min.js") as r:
        assert r.status == 200
        assert r.headers["Cache-Control"] == "public, max-age=604800"


async def test_without_plotly_there_is_none(site: Site) -> None:
    assert (await site.get_raw("/static/vendor/plotly.min.js"))[0] == 404
