# shellcheck shell=bash disable=SC2034
# What every script of deploy/ and tests/ shares: where things are, how to speak, who runs services.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${SOTTO_TEST_BUILD:-$ROOT/build}
JOBS=$(nproc)

if [ -t 1 ]; then
    c_dim=$'\e[2m' c_ok=$'\e[32m' c_bad=$'\e[31m' c_bold=$'\e[1m' c_off=$'\e[0m'
else
    c_dim='' c_ok='' c_bad='' c_bold='' c_off=''
fi
export c_dim c_ok c_bad c_bold c_off

step() { printf '  %s·%s %s\n' "$c_dim" "$c_off" "$*"; }
good() { printf '  %s✓%s %s\n' "$c_ok" "$c_off" "$*"; }
bad() { printf '  %s✗%s %s\n' "$c_bad" "$c_off" "$*" >&2; }
# die MESSAGE [LOGFILE]: says what happened and shows the end of the log that knows more.
die() {
    bad "$1"
    if [ -n "${2:-}" ] && [ -s "$2" ]; then
        printf '    last lines of %s:\n' "$2" >&2
        tail -n 15 "$2" | sed 's/^/    | /' >&2
    fi
    exit 1
}

# quietly LOG WHAT COMMAND…: one line while it runs, one when it is done, the log only on failure.
quietly() {
    local log=$1 what=$2 t0=$SECONDS
    shift 2
    mkdir -p "$(dirname "$log")"
    if "$@" >"$log" 2>&1; then
        good "$what $c_dim($((SECONDS - t0)) s)$c_off"
    else
        die "$what failed" "$log"
    fi
}

# wait_for SECONDS COMMAND…: polls until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        read -rt 0.1 <> <(:) || true
    done
}

# Services never run as root: PostgreSQL refuses to, and the rest has no need to.
SERVICE_USER=$(id -un)
if [ "$(id -u)" = 0 ]; then SERVICE_USER=${SOTTO_TEST_USER:-sotto}; fi
ensure_service_user() {
    [ "$(id -u)" = 0 ] || return 0
    id "$SERVICE_USER" >/dev/null 2>&1 ||
        useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$SERVICE_USER"
}
# as_service COMMAND…: runs it as the unprivileged user, in a folder that user can be in.
as_service() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec setpriv --reuid "$SERVICE_USER" --regid "$SERVICE_USER" --clear-groups --no-new-privs \
            env HOME=/nonexistent "$@")
    else
        (cd / && exec "$@")
    fi
}
