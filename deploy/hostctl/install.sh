#!/bin/sh
# Makes this mail server ready for its Mailadmin console.  Run it as root.
#
# It adds: one helper program, a user that can do nothing but call it, one sudo rule for exactly
# that, and a user that owns the mail.  It changes no mail configuration: that happens with the
# first deployment, which keeps what was there and can give it back.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022

fail() {
    echo "mailadmin: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "run this as root."
for tool in /usr/bin/python3 sudo visudo openssl base64 useradd; do
    command -v "$tool" >/dev/null 2>&1 ||
        fail "$tool is missing. Type: apt-get install python3 sudo openssl passwd"
done
/usr/bin/python3 -I -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
    fail "Python 3.9 or later is needed."
/usr/bin/python3 -I -c 'import sqlite3, ssl' 2>/dev/null ||
    fail "Python lacks its SQLite or TLS module. Type: apt-get install libpython3-stdlib"

# --- the user that owns the mail -------------------------------------------------------------
if getent passwd @VMAIL@ >/dev/null; then
    [ "$(id -u @VMAIL@)" = @UID@ ] ||
        fail "there is a user @VMAIL@ with another number than @UID@; rename one of them first."
else
    ! getent passwd @UID@ >/dev/null || fail "user number @UID@ is taken by $(id -un @UID@)."
    ! getent group @GID@ >/dev/null || fail "group number @GID@ is taken."
    groupadd --gid @GID@ @VMAIL@
    useradd --uid @UID@ --gid @GID@ --no-create-home --home-dir @MAIL@ \
        --shell /usr/sbin/nologin @VMAIL@
fi

# --- the helper ------------------------------------------------------------------------------
install -d -m 0755 -o root -g root "$(dirname @HELPER@)" @STATE@ @RUN@
install -d -m 0700 -o @VMAIL@ -g @VMAIL@ @MAIL@
base64 -d <<'HELPER' | gunzip >@HELPER@.new
@BASE64@
HELPER
chmod 0755 @HELPER@.new
# Each request starts the helper anew: compiled, it starts in half the time.
/usr/bin/python3 -I - @HELPER@.new <<'PYTHON' || true
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from hostctl.precompile import precompile
precompile(pathlib.Path(sys.argv[1]))
PYTHON
mv -f @HELPER@.new @HELPER@

# --- the user of the console: its key opens one command, its files are root's -------------------
home=@STATE@/login
install -d -m 0755 -o root -g root "$home" "$home/.ssh"
getent passwd @ADMIN@ >/dev/null ||
    useradd --system --no-create-home --home-dir "$home" --shell /bin/sh @ADMIN@
# '*' is no password, yet not the '!' of a locked account, which sshd refuses without PAM.
usermod --home "$home" --shell /bin/sh --password '*' @ADMIN@
line='restrict,command="sudo @HELPER@" @KEY@'
if [ -e "$home/.ssh/authorized_keys" ] && [ "$(cat "$home/.ssh/authorized_keys")" != "$line" ]; then
    # Another console: it will number its requests anew.
    rm -f @STATE@/host.json
fi
printf '%s\n' "$line" >"$home/.ssh/authorized_keys.new"
chmod 0644 "$home/.ssh/authorized_keys.new"
mv -f "$home/.ssh/authorized_keys.new" "$home/.ssh/authorized_keys"

# --- the one sudo rule: "" allows no argument ---------------------------------------------------
rule=/etc/sudoers.d/.mailadmin.new
install -d -m 0750 /etc/sudoers.d
printf '%s\n' '@ADMIN@ ALL=(root) NOPASSWD: @HELPER@ ""' >"$rule"
chmod 0440 "$rule"
if ! visudo -q -c -f "$rule"; then
    rm -f "$rule"
    fail "visudo refuses the rule."
fi
mv -f "$rule" /etc/sudoers.d/mailadmin

# --- Debian's package upgrades must not rebuild sendmail.cf ---------------------------------------
if [ -d /etc/mail ]; then
    conf=/etc/mail/sendmail.conf
    if grep -qs '^HANDS_OFF="Yes" # set by mailadmin$' "$conf"; then
        # An older helper's, which kept what was there in a comment.
        sed -i -e '/^HANDS_OFF="Yes" # set by mailadmin$/d' -e 's/^# before mailadmin: //' "$conf"
    fi
    was="$(sed -n 's/^HANDS_OFF="*\([A-Za-z]*\).*/\1/p' "$conf" 2>/dev/null | tail -n 1)"
    if [ "$was" != Yes ]; then
        # Kept elsewhere: each upgrade writes the file anew, with its values and without comments.
        printf '%s\n' "$was" >@STATE@/hands_off
        { [ ! -e "$conf" ] || sed '/^HANDS_OFF=/d' "$conf"
          echo 'HANDS_OFF="Yes";'; } >"$conf.new"
        chmod 0644 "$conf.new"
        mv -f "$conf.new" "$conf"
    fi
fi

# --- at boot: recover first, then the bridge ----------------------------------------------------
if [ -d /run/systemd/system ]; then
    cat >/etc/systemd/system/mailadmin-recover.service <<'UNIT'
[Unit]
Description=Mailadmin: finish a change of the mail configuration that was cut off
Before=mailadmin-bridge.service dovecot.service
Before=sendmail.service postfix.service postfix@-.service
After=local-fs.target
RequiresMountsFor=@STATE@

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I @HELPER@ recover

[Install]
WantedBy=multi-user.target
UNIT
    cat >/etc/systemd/system/mailadmin-bridge.service <<'UNIT'
[Unit]
Description=Mailadmin: answers what the mail server asks about accounts
Before=sendmail.service postfix.service postfix@-.service
After=mailadmin-recover.service

[Service]
ExecStart=/usr/bin/python3 -I @HELPER@ bridge --foreground
RuntimeDirectory=mailadmin
RuntimeDirectoryPreserve=yes
Restart=always
RestartSec=2
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=@RUN@ @STATE@
ProtectHome=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX

[Install]
WantedBy=multi-user.target
UNIT
    # An upgrade of Dovecot to another series starts it: with the configuration for that series.
    install -d -m 0755 /etc/systemd/system/dovecot.service.d
    cat >/etc/systemd/system/dovecot.service.d/mailadmin.conf <<'UNIT'
[Service]
ExecStartPre=-+/usr/bin/python3 -I @HELPER@ follow
UNIT
    systemctl daemon-reload
    systemctl -q enable mailadmin-recover.service mailadmin-bridge.service
    systemctl try-restart mailadmin-bridge.service
else
    # A bridge of an older helper goes; the new one takes its place.
    pid="$(cat @RUN@/bridge.pid 2>/dev/null || true)"
    if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q hostctl; then
        kill "$pid" 2>/dev/null || true
        /usr/bin/python3 -I @HELPER@ bridge
    fi
fi

echo "mailadmin: this host is ready. Compare its key with what the console shows:"
ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null || true
