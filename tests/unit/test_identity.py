"""Which host this is: who says so, in which order, and what the machine itself says."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from reconciler import identity
from reconciler.errors import Mark, Unsupported, UsageError
from reconciler.model import Host
from reconciler.sides import Here

HOSTS = {
    name: Host(name, ip_address(vtep), 1500, Mark("shop.yaml", 1, 1, 2))
    for name, vtep in (("node-1", "192.0.2.1"), ("node-2", "192.0.2.2"), ("node-3", "192.0.2.3"))
}


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says which host this is, not there yet; and no variable that does."""
    path = tmp_path / "host"
    monkeypatch.setattr(identity, "FILE", str(path))
    monkeypatch.delenv(identity.VARIABLE, raising=False)
    return path


def test_the_flag_goes_before_the_variable_and_that_before_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearer to the command, the stronger."""
    file.write_text("node-3\n")
    assert identity.choose(HOSTS, None) == Here("node-3", "192.0.2.3")
    monkeypatch.setenv(identity.VARIABLE, "node-2")
    assert identity.choose(HOSTS, None) == Here("node-2", "192.0.2.2")
    assert identity.choose(HOSTS, "node-1") == Here("node-1", "192.0.2.1")


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_somebody_must_say_it(file: Path, content: str | None) -> None:
    """Nothing is guessed; the hosts are listed."""
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match="nothing says which") as caught:
        identity.choose(HOSTS, None)
    assert str(caught.value.hint).endswith("hosts: node-1, node-2, node-3")


def test_an_unknown_name_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong variable is not looked for in the command line."""
    monkeypatch.setenv(identity.VARIABLE, "node3")
    with pytest.raises(UsageError, match=r"no host 'node3' \(RECONCILER_HOST\)") as caught:
        identity.choose(HOSTS, None)
    assert str(caught.value.hint).startswith("did you mean 'node-3'? ")


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_named(file: Path, content: bytes | None) -> None:
    """It is not taken for a missing one."""
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(UsageError, match="cannot read"):
        identity.choose(HOSTS, None)


def test_a_topology_of_one_machine_has_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine says of itself does no harm there; the flag is a mistake."""
    monkeypatch.setenv(identity.VARIABLE, "node-2")
    assert identity.choose({}, None) is None
    with pytest.raises(UsageError, match="has no hosts"):
        identity.choose({}, "node-2")


def test_a_machine_without_the_address_is_another_one() -> None:
    """What it has instead is listed, without what every machine has."""
    here = Here("node-1", "192.0.2.1")
    identity.confirm(here, {"192.0.2.1": "lo"})
    identity.confirm(None, {})
    addresses = {"127.0.0.1": "lo", "::1": "lo", "fe80::1": "eth0", "192.0.2.2": "eth0"}
    with pytest.raises(Unsupported, match=r"not host 'node-1': no link has its vtep 192\.0\.2\.1") as caught:
        identity.confirm(here, addresses)
    assert str(caught.value.hint).endswith("addresses here: 192.0.2.2 on eth0")
    with pytest.raises(Unsupported) as caught:
        identity.confirm(here, {f"10.0.0.{n}": "eth0" for n in range(12)})
    assert str(caught.value.hint).endswith("10.0.0.9 on eth0 and 2 more")


def test_a_saved_plan_is_for_one_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names its host itself; whatever says that this is another one stops it."""
    here = Here("node-1", "192.0.2.1")
    identity.agree(here, None)
    identity.agree(here, "node-1")
    identity.agree(None, None)
    with pytest.raises(UsageError, match="without hosts"):
        identity.agree(None, "node-1")
    monkeypatch.setenv(identity.VARIABLE, "node-2")
    identity.agree(None, None)
    with pytest.raises(UsageError, match=r"for host 'node-1', and this is 'node-2' \(RECONCILER_HOST\)"):
        identity.agree(here, None)
