"""How a Debian is made: mirrors, progress from the builder's words, reasons for failure."""

import pytest

from deploy.practice import build
from deploy.practice.errors import PracticeError

DEB822 = """\
Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://ftp.tw.debian.org/debian
Suites: bookworm bookworm-updates

Types: deb
URIs: http://security.example.test/debian-security/
Suites: bookworm-security
"""


def mirrors_of(tmp_path, **files):
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        path = tmp_path / "sources.list.d" / name.replace("_", ".")
        path.write_text(text)
    return build.mirrors(tmp_path)


def test_the_machines_own_mirrors_are_used(tmp_path):
    assert mirrors_of(tmp_path, debian_sources=DEB822) == (
        "http://ftp.tw.debian.org/debian",
        "http://security.example.test/debian-security/",
    )


def test_one_line_sources_are_read(tmp_path):
    line = (
        "deb [signed-by=/usr/share/keyrings/x.gpg] https://mirror.example.test/debian trixie main\n"
    )
    (tmp_path / "sources.list").write_text(line)
    assert mirrors_of(tmp_path)[0] == "https://mirror.example.test/debian"


def test_other_systems_use_debians_own(tmp_path):
    ubuntu = "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu/\nSuites: noble\n"
    assert mirrors_of(tmp_path, ubuntu_sources=ubuntu) == (build.MIRROR, build.SECURITY)


def follow(tmp_path, script):
    seen = []
    build._follow(
        ["sh", "-c", script], tmp_path / "log", lambda step, fraction: seen.append((step, fraction))
    )
    return seen


def test_progress_follows_the_builders_words_and_never_goes_back(tmp_path):
    words = "I: running apt-get update...\nGet:1 http://x\nI: downloading packages with apt...\n"
    words += "I: installing remaining packages inside the chroot...\n"
    words += "Unpacking sendmail-bin\nSetting up sendmail-bin\n" * 200
    words += "I: cleaning package lists and apt cache...\n"
    (tmp_path / "words").write_text(words)
    seen = follow(tmp_path, f"cat {tmp_path}/words")
    assert list(dict.fromkeys(step for step, _ in seen)) == [
        "update",
        "download",
        "packages",
        "clean",
    ]
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[-1] < 1
    assert (tmp_path / "log").read_text() == words


@pytest.mark.parametrize(
    ("says", "code", "words"),
    [
        ("Err:1 Could not resolve 'deb.debian.org'", "mirror", "could not be reached"),
        ("W: GPG error: NO_PUBKEY 6ED0E7B82643E131", "keyring", "debian-archive-keyring"),
        ("tar: write error: No space left on device", "disk", "The disk is full"),
        ("E: apt-get update failed\nI: cleaning up", "build", "E: apt-get update failed"),
        ("", "build", "it said nothing"),
    ],
)
def test_a_failed_build_says_why(tmp_path, says, code, words):
    (tmp_path / "words").write_text(says)
    with pytest.raises(PracticeError, match=words) as failure:
        follow(tmp_path, f"cat {tmp_path}/words; exit 1")
    assert failure.value.code == code


def test_the_builders_script_quotes_what_it_writes(tmp_path):
    script = build.debootstrap("trixie", ["sendmail-bin"], tmp_path / "a root")
    assert f"'{tmp_path}/a root'" in script
    assert "policy-rc.d" in script
    assert "trixie-security" in script
