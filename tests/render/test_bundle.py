import io
import tarfile

import pytest

from deploy import bundle
from deploy.bundle import Bundle, UnknownBundlePath
from deploy.hostctl import generations, paths
from deploy.render import render
from tests.render.examples import snapshot


def test_the_console_and_the_helper_know_the_same_files():
    assert set(paths.BUNDLE_FILES) == bundle.PATHS
    assert paths.GENERATION_TOKEN == "@GENERATION@"


def test_the_digest_is_the_helpers():
    made = render(snapshot("plain"))
    assert made.digest == generations.digest_of(made.files)
    assert Bundle(dict(reversed(made.files.items()))).digest == made.digest


def test_the_helper_unpacks_what_is_packed():
    made = render(snapshot("snippets"))
    assert generations.unpack(io.BytesIO(made.tar())) == dict(made.files)
    assert made.tar() == render(snapshot("snippets")).tar()


def test_a_tar_holds_plain_files_of_nobody():
    with tarfile.open(fileobj=io.BytesIO(render(snapshot("plain")).tar())) as archive:
        for member in archive:
            assert member.isreg()
            assert (member.mode, member.uid, member.gid, member.mtime) == (0o644, 0, 0, 0)


def test_no_file_is_greater_than_the_helper_takes():
    for path, content in render(snapshot("snippets")).files.items():
        assert len(content) <= paths.BUNDLE_FILES[path].cap


@pytest.mark.parametrize("path", ["tls/key.pem", "../etc/passwd", "/etc/passwd", "sendmail/x.cf"])
def test_other_paths_are_refused(path):
    with pytest.raises(UnknownBundlePath):
        Bundle({path: b""})


def test_files_cannot_be_changed_afterwards():
    files = {"tls/ca.pem": b"a"}
    made = Bundle(files)
    files["tls/ca.pem"] = b"b"
    assert made.files["tls/ca.pem"] == b"a"
    with pytest.raises(TypeError):
        made.files["tls/ca.pem"] = b"c"  # type: ignore[index]


def test_the_fingerprint_is_the_first_certificates():
    # SHA-256 of the three zero bytes that AAAA stands for.
    assert render(snapshot("plain")).fingerprint_sha256.startswith("709e80c88487a241")
    assert Bundle({}).fingerprint_sha256 == ""
    assert bundle.fingerprint(b"no certificate") == ""
