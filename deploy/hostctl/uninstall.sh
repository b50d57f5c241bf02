#!/bin/sh
# Takes Mailadmin's helper off this mail server and gives back the configuration from before.
# Run it as root.  Mail, accounts and keys stay in @STATE@.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
[ "$(id -u)" = 0 ] || { echo "mailadmin: run this as root." >&2; exit 1; }

[ ! -e @HELPER@ ] || /usr/bin/python3 -I @HELPER@ leave
if [ -d /run/systemd/system ]; then
    for unit in mailadmin-recover.service mailadmin-bridge.service; do
        systemctl -q disable --now "$unit" 2>/dev/null || true
        rm -f "/etc/systemd/system/$unit"
    done
    rm -f /etc/systemd/system/dovecot.service.d/mailadmin.conf
    rmdir /etc/systemd/system/dovecot.service.d 2>/dev/null || true
    systemctl daemon-reload
fi
rm -f /etc/sudoers.d/mailadmin @HELPER@
rm -rf @STATE@/login @STATE@/host.json
! getent passwd @ADMIN@ >/dev/null || userdel @ADMIN@
conf=/etc/mail/sendmail.conf
if [ -e "$conf" ] && [ -e @STATE@/hands_off ]; then
    was="$(cat @STATE@/hands_off)"
    { sed '/^HANDS_OFF=/d' "$conf"
      [ -z "$was" ] || printf 'HANDS_OFF="%s";\n' "$was"; } >"$conf.new"
    chmod 0644 "$conf.new"
    mv -f "$conf.new" "$conf"
    rm -f @STATE@/hands_off
fi
echo "mailadmin: removed. Mail, accounts and keys are still in @STATE@."
