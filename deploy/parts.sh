# shellcheck shell=bash disable=SC2154
# The parts of a stack: how each starts, stops and tells that it is well. Needs VAR and common.sh.

ini_get() { "$VAR/bin/sottoctl" --config "$VAR/sotto.ini" config get "$1"; }

# ini_set FILE section.key value: replaces the key's line (commented out or not), or adds it to its section.
ini_set() {
    local section=${2%%.*} key=${2#*.} tmp
    tmp=$(mktemp)
    awk -v section="$section" -v key="$key" -v value="$3" '
        function flush() { if (inside && !done) { print key " = " value; done = 1 } }
        /^\[/ { flush(); inside = ($0 == "[" section "]") }
        inside && !done && $0 ~ "^[#; ]*" key "[ ]*=" { print key " = " value; done = 1; next }
        { print }
        END { flush(); if (!done) { print "[" section "]"; print key " = " value } }' "$1" >"$tmp"
    cat "$tmp" >"$1"
    rm -f "$tmp"
}

plain_url() { echo "http://127.0.0.1:$(ini_get http.plain_port)"; }

# A Unix socket's path must fit in 107 bytes, so a deep folder gets its socket elsewhere.
pg_socket_dir() {
    if [ ${#VAR} -le 80 ]; then echo "$VAR/run"; else echo "/tmp/sotto-$(printf %s "$VAR" | sha256sum | cut -c1-12)"; fi
}
pg_bin() { find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1; }

pid_of() {
    local pid
    [ -e "$VAR/run/$1.pid" ] || return 1
    read -r pid <"$VAR/run/$1.pid" || return 1
    [ -n "$pid" ] && ! not_running "$pid" && echo "$pid"
}
# Also what has ended and isn't reaped yet: whose child it is has its own time for that, in a container maybe all the time.
not_running() {
    local stat
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
    [[ ${stat##*) } == [ZX]* ]]
}

command_of() { # part → the command in the array `command`
    case $1 in
    signald) command=("$VAR/bin/signald" --config "$VAR/sotto.ini") ;;
    sfud) command=("$VAR/bin/sfud" --config "$VAR/sotto.ini") ;;
    coturn) command=(turnserver -c "$VAR/turn/turnserver.conf" --pidfile "$VAR/run/turnserver.pid") ;;
    postgres) command=("$(pg_bin)/postgres" -D "$VAR/pg/data") ;;
    *) die "unknown part $1: signald, sfud, coturn, postgres" ;;
    esac
}

init_postgres() {
    [ -e "$VAR/pg/data/PG_VERSION" ] && return
    as_service "$(pg_bin)/initdb" -D "$VAR/pg/data" -A peer -U "$SERVICE_USER" -E UTF8 --locale=C.UTF-8 \
        >"$VAR/log/initdb.log" 2>&1 || die "initdb failed" "$VAR/log/initdb.log"
    cat >>"$VAR/pg/data/postgresql.conf" <<EOF
# Sotto's private cluster: a Unix socket only, no network.
listen_addresses = ''
unix_socket_directories = '$(pg_socket_dir)'
unix_socket_permissions = 0700
max_connections = 60
EOF
}

# Starts a part in the background, in its own session, as the service user, logging to $VAR/log.
spawn() {
    local part=$1 command
    command_of "$part"
    local run=(setsid)
    if [ "$(id -u)" = 0 ]; then
        run+=(setpriv --reuid "$SERVICE_USER" --regid "$SERVICE_USER" --clear-groups --no-new-privs env "HOME=/nonexistent")
    fi
    touch "$VAR/log/$part.log"
    (
        cd /
        exec "${run[@]}" "${command[@]}" >>"$VAR/log/$part.log" 2>&1 </dev/null
    ) &
    echo $! >"$VAR/run/$part.pid"
    disown
}

healthy() {
    case $1 in
    postgres) as_service "$(pg_bin)/pg_isready" -q -h "$(pg_socket_dir)" ;;
    coturn) grep -qs . "$VAR/run/turnserver.pid" ;;
    signald) curl -fsS "$(plain_url)/healthz" ;;
    sfud) curl -fsS "http://127.0.0.1:$(ini_get sfu.metrics_port)/healthz" ;;
    esac
}

# The part runs an older binary than was installed, or started before its configuration or secrets changed.
outdated() {
    local part=$1 pid=$2
    [ "$part" != postgres ] || return 1
    if [ -e "$VAR/bin/$part" ] && ! cmp -s "/proc/$pid/exe" "$VAR/bin/$part"; then return 0; fi
    [ -n "$(find "$VAR/sotto.ini" "$VAR/secrets" "$VAR/tls" -type f -newer "$VAR/run/$part.pid" -print -quit)" ]
}

start_part() {
    local part=$1 pid
    if pid=$(pid_of "$part"); then
        # A newer binary or configuration replaces what runs; an unchanged part is left in peace.
        if ! outdated "$part" "$pid"; then
            good "$part runs $c_dim(pid $pid)$c_off"
            return
        fi
        stop_part "$part"
    fi
    if [ "$part" = postgres ]; then
        mkdir -p "$(pg_socket_dir)"
        [ "$(id -u)" != 0 ] || chown "$SERVICE_USER:" "$(pg_socket_dir)"
        init_postgres
    fi
    if [ "$part" = coturn ]; then rm -f "$VAR/run/turnserver.pid"; fi
    spawn "$part"
    local tries=0
    until healthy "$part" >/dev/null 2>&1; do
        pid_of "$part" >/dev/null || die "$part did not start" "$VAR/log/$part.log"
        tries=$((tries + 1))
        [ $tries -lt 200 ] || die "$part is not well after 20 s" "$VAR/log/$part.log"
        read -rt 0.1 <> <(:) || true
    done
    if [ "$part" = postgres ]; then
        as_service createdb -h "$(pg_socket_dir)" sotto >/dev/null 2>&1 || true
    fi
    good "$part started $c_dim(pid $(pid_of "$part"))$c_off"
}

stop_part() {
    local part=$1 pid signal=TERM
    if ! pid=$(pid_of "$part"); then
        rm -f "$VAR/run/$part.pid"
        return 0
    fi
    if [ "$part" = postgres ]; then signal=INT; fi
    kill -$signal "$pid"
    if ! wait_for 15 not_running "$pid"; then
        kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$VAR/run/$part.pid"
    good "$part stopped"
}

kill_part() {
    local pid
    pid=$(pid_of "$1") || die "$1 does not run"
    kill -KILL "$pid"
    wait_for 5 not_running "$pid" || die "$1 survived"
    rm -f "$VAR/run/$1.pid"
}

status_parts() {
    local part pid
    for part in postgres coturn signald sfud; do
        if ! pid=$(pid_of "$part"); then
            bad "$part is down"
        elif healthy "$part" >/dev/null 2>&1; then
            good "$part $c_dim(pid $pid, $(ps -o rss= -p "$pid" | awk '{printf "%.0f MiB", $1 / 1024}'))$c_off"
        else
            bad "$part runs (pid $pid) but does not answer"
        fi
    done
    if curl -sS "$(plain_url)/readyz" 2>/dev/null; then echo; fi
}
