# Messages, waiting, and where things are. Sourced by ../cluster.
# shellcheck shell=bash disable=SC2034 # the other files use these

CACHE=${HALDANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/haldane}
# Not under /run: unpacked images would fill its memory.
RUN_BASE=${HALDANE_RUN:-/var/lib/haldane}

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

die() {
  printf 'cluster: %s\n' "$*" >&2
  exit 1
}

# fail_with_log WHAT LOG: names the component, shows the end of its log and where the rest is.
fail_with_log() {
  {
    printf 'cluster: %s\n' "$1"
    printf -- '---- last lines of %s\n' "$2"
    tail -n 20 "$2" 2>/dev/null || printf '(no log)\n'
    printf -- '----\n'
  } >&2
  exit 1
}

# wait_until SECONDS COMMAND...: polls; the caller says what was missing when it returns 1.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# digest_of STRING...: a short name for everything that went into a result.
digest_of() { printf '%s\n' "$@" | sha256sum | cut -c1-10; }

# with_lock NAME COMMAND...: one builder of a thing at a time, also across clusters.
with_lock() {
  local name=$1 lock_fd
  shift
  mkdir -p "$CACHE/lock"
  exec {lock_fd}>"$CACHE/lock/$name"
  until flock --nonblock "$lock_fd" || flock --wait 20 "$lock_fd"; do
    say "$name: waiting for another run that is at it"
  done
  "$@"
  exec {lock_fd}>&-
}

# run_logged WHAT LOG COMMAND...: runs it with its output in a file; says every 20 s where it is.
run_logged() {
  local what=$1 log=$2 pid
  shift 2
  mkdir -p "$(dirname "$log")"
  # In a process group of its own, so that stopping this stops all it started.
  set -m
  (set -euo pipefail && "$@") >"$log" 2>&1 </dev/null &
  pid=$!
  set +m
  # shellcheck disable=SC2064 # this very process, whatever $pid is by then
  trap "kill -- -$pid 2>/dev/null; exit 130" INT TERM
  heartbeat "$what" "$log" "$pid"
  trap - INT TERM
  wait "$pid" || fail_with_log "$what failed" "$log"
}

heartbeat() {
  local next=$((SECONDS + 20)) at
  while kill -0 "$3" 2>/dev/null; do
    if ((SECONDS >= next)); then
      at=$(tail -n 1 "$2")
      say "$1: $(wc -l <"$2") log lines, now ${at:0:90}"
      next=$((SECONDS + 20))
    fi
    sleep 0.2
  done
}
