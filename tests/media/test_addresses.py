from __future__ import annotations

import ipaddress

import pytest

from swift.media.addresses import host_name, is_allowed, is_named, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "198.18.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("host", "hosts", "allowed"),
    [
        ("a.example.org", [], True),
        ("a.example.org", ["*.example.org"], True),
        ("a.b.example.org", ["*.example.org"], True),
        ("example.org", ["*.example.org"], False),
        ("evilexample.org", ["*.example.org"], False),
        ("a.example.org.evil.com", ["*.example.org"], False),
        ("example.org", ["Example.ORG."], True),
        ("example.com", ["example.org", "*.example.org"], False),
        ("xn--bcher-kva.de", ["bücher.de"], True),
        ("a.xn--bcher-kva.de", ["*.bücher.de"], True),
        ("anything.at.all", ["*"], True),
        ("::1", ["[::1]"], True),
    ],
)
def test_allowed(host: str, hosts: list[str], allowed: bool) -> None:
    assert is_allowed(host, hosts) == allowed


def test_only_a_full_name_opens_private_addresses() -> None:
    assert is_named("localhost", ["localhost"])
    assert not is_named("a.localhost", ["*.localhost"])
    assert not is_named("localhost", ["*"])
    assert not is_named("localhost", [])


def test_host_names() -> None:
    assert host_name("Bücher.DE.") == "xn--bcher-kva.de"
    assert host_name("[::1]") == "::1"
