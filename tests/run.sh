# shellcheck shell=bash
# `./run test` and `./run soak`: what they install, which checks they run, how they end.
# Sourced by ./run, whose functions (say, die, is_root, can_apt, apt_install) it uses.
#
# Every check runs, whatever the one before said; the summary at the end names those that failed.
# In CI (CI=true) a missing tool, browser or daemon is a failure, otherwise its tests are skipped.

# Debian's packages, by the command that shows they are there.
test_tools=(
    chromium:chromium initdb:postgresql msgfmt:gettext mmdebstrap:mmdebstrap debootstrap:debootstrap
    ip:iproute2 swaks:swaks openssl:openssl curl:curl unshare:util-linux ps:procps sudo:sudo
    fc-list:fontconfig ssh-keygen:openssh-client
    certtool:gnutls-bin certutil:libnss3-tools softhsm2-util:softhsm2
)

has_tool() {
    case "$1" in
    initdb) [ -n "$(postgres_bin)" ] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

postgres_bin() {
    local found
    for found in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$found" ] && dirname "$found" && return
    done
    found="$(command -v initdb)" && dirname "$found"
}

install_test_tools() {
    local tool missing=()
    for tool in "${test_tools[@]}"; do
        has_tool "${tool%%:*}" || missing+=("${tool#*:}")
    done
    if can_apt; then
        # A screenshot of Chinese text without a Chinese font shows boxes; swaks needs Perl's TLS.
        dpkg -s fonts-wqy-zenhei >/dev/null 2>&1 || missing+=(fonts-wqy-zenhei)
        dpkg -s libnet-ssleay-perl >/dev/null 2>&1 || missing+=(libnet-ssleay-perl)
        # The program that Playwright brings to drive the browser is linked with it.
        dpkg -s libatomic1 >/dev/null 2>&1 || missing+=(libatomic1)
    fi
    [ ${#missing[@]} = 0 ] && return
    if can_apt; then
        say "Installing for the tests: ${missing[*]}"
        # PostgreSQL's package would make and start a cluster of its own; the tests make theirs.
        if [ ! -e /etc/postgresql-common ]; then
            mkdir -p /etc/postgresql-common
            echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
        fi
        apt_install "${missing[@]}" || say "Some of them could not be installed."
    else
        say "Missing for the tests (as root, ./run test installs them): ${missing[*]}"
    fi
}

# --- The checks -------------------------------------------------------------------------------

passed=()
failed=()

check() {
    local name="$1" begun=$SECONDS
    shift
    printf '\n--- %s\n' "$name"
    if "$@" </dev/null; then
        passed+=("$name")
        printf -- '--- %s: passed in %s s\n' "$name" $((SECONDS - begun))
    else
        failed+=("$name")
        printf -- '--- %s: FAILED after %s s\n' "$name" $((SECONDS - begun))
    fi
}

# Checks that run beside those that follow; `join_beside` waits for them and shows what they said. The live
# tests wait for daemons most of their time, and the others for the processor.
beside_names=() beside_pids=() beside_logs=()

beside() {
    local log
    log="$(mktemp /tmp/mailadmin-beside.XXXXXX)"
    beside_names+=("$1") beside_logs+=("$log")
    shift
    "$@" </dev/null >"$log" 2>&1 &
    beside_pids+=("$!")
}

ended() {
    local status=0
    wait "${beside_pids[$1]}" || status=$?
    beside_pids[$1]=''
    cat "${beside_logs[$1]}"
    return $status
}

join_beside() {
    local number
    for number in "${!beside_names[@]}"; do check "${beside_names[$number]}" ended "$number"; done
}

tools_are_here() {
    local tool absent=0
    for tool in "${test_tools[@]}"; do
        has_tool "${tool%%:*}" || { say "missing: ${tool%%:*} (package ${tool#*:})"; absent=1; }
    done
    return $absent
}

# pytest exits 5 when it found nothing to run: that is a failure here.
tests() { "$python" -m pytest -p no:cacheprovider "$@"; }

no_servers=(-m "not live and not browser and not faults and not soak" --ignore=tests/hostctl --ignore=tests/render --ignore=tests/run --ignore=tests/practice --ignore=tests/live --ignore=tests/browser)

# The tests that use the database, on a PostgreSQL cluster that lives as long as they do.
tests_on_postgres() {
    local bin folder runner=() status=0
    bin="$(postgres_bin)"
    if [ -z "$bin" ]; then
        say "PostgreSQL is not installed."
        [ "${CI:-}" != true ]
        return
    fi
    folder="$(mktemp -d /tmp/mailadmin-pg.XXXXXX)"
    if is_root; then # PostgreSQL refuses to run as root
        runner=(runuser -u "$(id -un postgres 2>/dev/null || echo nobody)" --)
        chown "${runner[2]}" "$folder"
    fi
    if (cd "$folder" && "${runner[@]}" "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >"$folder.log" 2>&1 &&
        "${runner[@]}" "$bin/pg_ctl" -D "$folder/data" -w -t 60 -l "$folder/log" \
            -o "-c listen_addresses='' -c unix_socket_directories=$folder -c fsync=off -c full_page_writes=off" start >>"$folder.log" 2>&1); then
        MAILADMIN_DATABASE_URL="postgres://postgres@${folder//\//%2F}/postgres" tests "${no_servers[@]}" "$@" || status=$?
        (cd "$folder" && "${runner[@]}" "$bin/pg_ctl" -D "$folder/data" -w -m immediate stop >/dev/null) || true
    else
        cat "$folder.log" "$folder/log" 2>/dev/null
        status=1
    fi
    rm -rf "$folder" "$folder.log"
    return $status
}

manage() { "$python" manage.py "$@"; }

summary() {
    local name
    printf '\n'
    for name in "${passed[@]}"; do say "  passed  $name"; done
    for name in "${failed[@]}"; do say "  FAILED  $name"; done
    say "${#passed[@]} passed, ${#failed[@]} failed"
    [ ${#failed[@]} = 0 ]
}

own_data_folder() {
    MAILADMIN_DATA="$(mktemp -d /tmp/mailadmin-test.XXXXXX)"
    export MAILADMIN_DATA
    unset MAILADMIN_BROKER_URL MAILADMIN_DATABASE_URL MAILADMIN_ENV MAILADMIN_PORT
    trap leave EXIT
}

leave() {
    local pid
    for pid in "${beside_pids[@]}"; do
        [ -n "$pid" ] || continue
        pkill -TERM -P "$pid" || true
        kill "$pid" 2>/dev/null || true
        wait "$pid" || true
    done
    rm -rf -- "$MAILADMIN_DATA" "${beside_logs[@]}"
}

run_test() {
    install_test_tools
    own_data_folder
    [ "${CI:-}" = true ] && check "tools" tools_are_here
    if [ $# = 0 ]; then
        beside "tests of real mail hosts" tests -m "live and not faults and not soak" -k "not postfix"
        beside "faults of real mail hosts, and browsers" tests -m "(live and faults or browser and not live) and not soak"
    fi
    check "ruff" "$venv/bin/ruff" check .
    check "format" "$venv/bin/ruff" format --check .
    check "types" "$venv/bin/mypy" mailadmin core accounts ca deploy
    check "layers" "$venv/bin/lint-imports"
    check "templates" "$venv/bin/djlint" templates --lint --quiet
    check "migrations" manage makemigrations --check --dry-run
    check "catalogues" manage catalogue --check
    if [ $# -gt 0 ]; then # some of them: `./run test -k revocation`
        check "tests" tests -m "not soak" "$@"
    else
        check "tests" tests -m "not live and not browser and not soak"
        check "tests on PostgreSQL" tests_on_postgres
        check "tests of real hosts with Postfix" tests -m "live and not faults and not soak" -k postfix
        join_beside
    fi
    summary
}

run_soak() {
    install_test_tools
    own_data_folder
    check "soak" tests -m soak "$@"
    summary
}
