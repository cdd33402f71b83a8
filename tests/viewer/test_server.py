"""An address of this machine, or a sentence on why it cannot be had."""

from __future__ import annotations

import socket

import pytest

from histocodec.errors import SettingsError
from histocodec.viewer.server import bound, url_of


def test_a_free_port_is_found() -> None:
    with bound("127.0.0.1", 0) as one, bound("127.0.0.1", 0) as other:
        assert url_of(one) != url_of(other)
        assert url_of(one).startswith("http://127.0.0.1:")


def test_all_addresses_are_opened_by_the_name_of_this_machine() -> None:
    with bound("0.0.0.0", 0) as everywhere:
        assert url_of(everywhere).startswith("http://localhost:")


def test_a_port_that_is_taken_is_said_with_the_way_out() -> None:
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"^port {port} of 127\.0\.0\.1 cannot be had: .*--port 0 for any"):
            bound("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match=host):
        bound(host, 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_six_is_written_in_brackets() -> None:
    try:
        taken = bound("::1", 0)
    except SettingsError as error:
        pytest.skip(str(error))
    with taken:
        assert url_of(taken).startswith("http://[::1]:")
