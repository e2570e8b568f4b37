"""What is taken for the address of a repository, how it is shown, and what is refused before git sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import UsageError
from reconciler.watch.remote import remote

# The address, how it is shown, the way that git may go.
GOOD = [
    ("https://git.example.org/net.git", "https://git.example.org/net.git", "https"),
    ("HTTPS://git.example.org:8443/net", "https://git.example.org:8443/net", "https"),
    ("https://token@git.example.org/net.git", "https://git.example.org/net.git", "https"),
    ("https://user:pa55@git.example.org/net.git?key=1#x", "https://git.example.org/net.git", "https"),
    ("ssh://git@git.example.org:22/net.git", "ssh://git@git.example.org:22/net.git", "ssh"),
    ("ssh://git:pa55@[2001:db8::1]/net.git", "ssh://git@[2001:db8::1]/net.git", "ssh"),
    ("git@git.example.org:net/lab.git", "git@git.example.org:net/lab.git", "ssh"),
    ("git://git.example.org/net.git", "git://git.example.org/net.git", "git"),
    ("file:///srv/git/net.git", "file:///srv/git/net.git", "file"),
]

BAD = {
    "": "no address",
    "-uhttps://x/y": "no address",
    "--upload-pack=touch /tmp/x": "no address",
    "ext::sh -c touch% /tmp/x": "starts a program",
    "fd::17": "starts a program",
    "https::http://git.example.org/": "starts a program",
    "http://git.example.org/net.git": "'http://' is not followed",
    "ftp://git.example.org/net.git": "is not followed",
    "https://git.example.org/a\nb": "no address",
    "https://git.example.org:port/": "no URL",
    "https:///net.git": "no host",
    "ssh://-oProxyCommand=x/net.git": "no host",
    "-oProxyCommand=x:net.git": "no address",
    "file://host/net.git": "three slashes",
    "nothing/here": "no such repository",
}


@pytest.mark.parametrize(("address", "shown", "scheme"), GOOD)
def test_what_is_followed(address: str, shown: str, scheme: str) -> None:
    """Git gets the address as it was given; nobody else sees what is secret in it."""
    found = remote(address)
    assert (found.url, found.shown, found.scheme) == (address, shown, scheme)
    assert "pa55" not in found.words
    assert "token" not in found.words


@pytest.mark.parametrize("address", BAD)
def test_what_is_not(address: str) -> None:
    """It says why."""
    with pytest.raises(UsageError) as refused:
        remote(address)
    assert BAD[address] in refused.value.message


def test_a_path_is_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git runs elsewhere. A directory goes before what could be a host; a file, such as a bundle, is no repository."""
    monkeypatch.chdir(tmp_path)
    for name in ("net", "host:net"):
        (tmp_path / name).mkdir()
        assert remote(name).url == str(tmp_path / name)
        assert remote(name).scheme == "file"
    (tmp_path / "bundle").touch()
    with pytest.raises(UsageError):
        remote("bundle")


@pytest.mark.parametrize(
    "branch",
    ["", "-b", "a b", "a:b", "a..b", "a*", "a@{1}", "/a", "a/", "a.lock", "a//b", "+a\n", "a~1", "a^"],
)
def test_what_is_no_branch(branch: str) -> None:
    """It would be another ref, several, or an option."""
    with pytest.raises(UsageError):
        remote("https://git.example.org/net", branch)


@pytest.mark.parametrize("path", ["", "/etc", "..", "../x", "a/../../x", "a\0b", "a\nb"])
def test_what_is_no_path_in_it(path: str) -> None:
    """Nothing leads out of the repository."""
    with pytest.raises(UsageError):
        remote("https://git.example.org/net", None, path)


def test_what_makes_it_another_one() -> None:
    """A new password does not; another branch or path does."""
    key = remote("https://a:b@git.example.org/net").key
    assert remote("https://c:d@git.example.org/net").key == key
    assert (
        len(
            {
                key,
                remote("https://git.example.org/net", "x").key,
                remote("https://git.example.org/net", None, "x").key,
            }
        )
        == 3
    )
