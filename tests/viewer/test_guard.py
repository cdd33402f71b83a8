"""Who may ask, and what a browser may do with the answer."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from histocodec.viewer.guard import Guard


def client(**options: object) -> TestClient:
    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("here")

    inner = Starlette(routes=[Route("/slide/a.dzi", answer), Route("/", answer)])
    return TestClient(Guard(inner, **options), base_url="http://localhost")  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["localhost", "localhost:8040", "127.0.0.1:1", "[::1]:8040", "[::1]", "LOCALHOST"])
def test_this_machine_by_its_own_names(host: str) -> None:
    assert client().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8040", "localhost.evil.example", "192.168.1.5", "", "[::2]"]
)
def test_other_names_are_refused(host: str) -> None:
    answer = client().get("/", headers={"Host": host})
    assert answer.status_code == 403
    assert "--allow-host" in answer.text


def test_names_and_addresses_that_were_given() -> None:
    given = client(names=("lab.example",), any_address=True)
    for host, status in (("lab.example:80", 200), ("192.168.1.5", 200), ("evil.example", 403)):
        assert given.get("/", headers={"Host": host}).status_code == status


def test_every_answer_has_a_strict_policy() -> None:
    for path, host in (("/", "localhost"), ("/nothing", "localhost"), ("/", "evil.example")):
        headers = client().get(path, headers={"Host": host}).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_get_no_tiles_unless_asked_for(site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Origin": "https://other.example"}
    refused = client().get("/slide/a.dzi", headers=headers)
    assert refused.status_code == 403
    assert "--cors" in refused.text
    assert client().get("/", headers=headers).status_code == 200  # a link to the page

    allowed = client(origins=("https://other.example",)).get("/slide/a.dzi", headers=headers)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://other.example"
    assert allowed.headers["cross-origin-resource-policy"] == "cross-origin"
    assert allowed.headers["vary"] == "Origin"


def test_cors_is_for_the_origins_that_were_named_and_for_tiles_alone() -> None:
    named = client(origins=("https://other.example",))
    third = named.get("/slide/a.dzi", headers={"Origin": "https://third.example"})
    assert "access-control-allow-origin" not in third.headers
    page = named.get("/", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in page.headers
    everyone = client(origins=("*",)).get("/slide/a.dzi", headers={"Origin": "https://third.example"})
    assert everyone.headers["access-control-allow-origin"] == "*"
