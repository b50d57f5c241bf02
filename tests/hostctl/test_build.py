import ast
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.hostctl import build, paths
from deploy.hostctl.precompile import precompile

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7m0yP0oHn2q3Yc1s3hZt2x6k8u0sQwR5T4V7bN9m1K"


def test_the_same_sources_make_the_same_file() -> None:
    build.build.cache_clear()
    first = build.build()
    build.build.cache_clear()
    assert build.build() == first
    assert first.startswith(b"#!/usr/bin/python3 -I\n")


def test_it_runs_by_itself(tmp_path: Path) -> None:
    helper = tmp_path / "hostctl"
    helper.write_bytes(build.build())
    done = subprocess.run(
        [sys.executable, "-I", str(helper), "nonsense"], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 1
    assert '"code": "usage"' in done.stdout or '"code": "not_root"' in done.stdout
    assert done.stderr == ""


def test_compiled_it_is_still_the_same_program(tmp_path: Path) -> None:
    helper = tmp_path / "hostctl"
    helper.write_bytes(build.build())
    precompile(helper)
    content = helper.read_bytes()
    assert content.startswith(b"#!/usr/bin/python3 -I\n")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert "hostctl/verbs.pyc" in names and "hostctl/verbs.py" in names
    done = subprocess.run([sys.executable, "-I", str(helper), "x"], capture_output=True, text=True)
    assert '"event": "error"' in done.stdout and done.stderr == ""


def test_it_needs_nothing_but_the_standard_library_of_python_3_9() -> None:
    for path in build.HERE.glob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            else:
                continue
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names, f"{path.name}: {name}"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "ssh-ed25519",
        KEY + "\nssh-rsa AAAA",
        'command="id" ' + KEY,
        "ssh-dss " + "A" * 60,
        KEY.replace("AAAA", "$(id)"),
    ],
)
def test_only_a_plain_public_key_gets_into_the_script(key: str) -> None:
    with pytest.raises(ValueError, match="public key"):
        build.installer(key)


def test_the_script_is_one_the_shell_reads(tmp_path: Path) -> None:
    for text in (build.installer(KEY + " console"), build.uninstaller()):
        done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert "@HELPER@" not in text and "@STATE@" not in text and "@KEY@" not in text


def test_the_key_opens_one_command_and_sudo_allows_it_without_arguments() -> None:
    text = build.installer(KEY + " console")
    assert f"""line='restrict,command="sudo {paths.HELPER}" {KEY}'""" in text
    assert f"""'mailadmin ALL=(root) NOPASSWD: {paths.HELPER} ""'""" in text
    assert "visudo -q -c -f" in text


def test_at_boot_every_mail_server_waits_until_a_cut_off_change_is_undone() -> None:
    text = build.installer(KEY)
    units = {
        part.partition("\n")[2].partition("\nUNIT\n")[0].partition("Description=")[2]
        for part in text.split("cat >/etc/systemd/system/")[1:]
    }
    ordered = [
        {
            name
            for line in unit.splitlines()
            if line.startswith("Before=")
            for name in line[7:].split()
        }
        for unit in sorted(units)
        if unit
    ]
    # Debian 12 runs Postfix as an instance, which is there before postfix.service is.
    mta = {"sendmail.service", "postfix.service", "postfix@-.service"}
    assert len(ordered) == 2 and all(mta <= names for names in ordered)
    assert {"dovecot.service", "mailadmin-bridge.service"} <= set.union(*ordered)


@pytest.mark.parametrize("before", ['HANDS_OFF="No";\n', ""])
def test_what_an_older_helper_wrote_into_sendmail_conf_is_given_back(
    tmp_path: Path, before: str
) -> None:
    conf, state = tmp_path / "sendmail.conf", tmp_path
    kept = f"# before mailadmin: {before}" if before else ""
    conf.write_text(f'DAEMON_MODE="Daemon";\n{kept}HANDS_OFF="Yes" # set by mailadmin\n')

    def run(text: str, first: str, last: str) -> None:
        part = text[text.index(first) : text.index(last)]
        part = part.replace("/etc/mail/sendmail.conf", str(conf)).replace(paths.STATE, str(state))
        subprocess.run(["/bin/sh", "-eu", "-c", part], check=True)

    run(build.installer(KEY), "    conf=/etc/mail", "fi\n\n# --- at boot")
    assert 'HANDS_OFF="Yes";' in conf.read_text().splitlines()
    run(build.uninstaller(), "conf=", 'echo "mailadmin: removed')
    assert conf.read_text() == f'DAEMON_MODE="Daemon";\n{before}'
