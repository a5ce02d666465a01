# shellcheck shell=bash
# What the commands of this directory share: arguments, the state directory, processes. Sourced, never run.
#
# State directory:
#   .wakeline-local      marks the directory as ours, so that --fresh never deletes anything else
#   nodes                one line per server: NAME PORT INTERNAL_PORT [PROXIED_PORT]
#   env                  WAKELINE_KAFKA=… and WAKELINE_CQL=…
#   pids/NAME.pid        conf/NAME.*        data/NAME/        log/NAME.log

# shellcheck disable=SC2034  # used by servers.sh
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
DIR="${TMPDIR:-/tmp}/wakeline-local-$UID"
READY_DEADLINE_S=120
STOP_DEADLINE_S=15

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# The header comment of a command is its help.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
}

# parse_names ARG… → DIR and NAMES, for the commands that take `[--dir DIR] [NAME…]`.
parse_names() {
  NAMES=()
  while (($#)); do
    case $1 in
      --dir) DIR=$(needs_value "$@"); shift 2 ;;
      -h | --help) usage; exit 0 ;;
      -*) die "unknown option $1" ;;
      *) NAMES+=("$1"); shift ;;
    esac
  done
  open_dir
}

needs_value() {
  (($# >= 2)) || die "$1 needs a value"
  printf '%s' "$2"
}

open_dir() {
  [[ -e $DIR/.wakeline-local ]] || die "$DIR is not a state directory of infra/local/up"
  DIR=$(cd -- "$DIR" && pwd -P)
}

require_names() {
  local name
  ((${#NAMES[@]})) || die "name a server: $(node_names | paste -sd' ')"
  for name in "${NAMES[@]}"; do
    [[ -n $(node_line "$name") ]] || die "no server $name in $DIR; there are: $(node_names | paste -sd' ')"
  done
}

# One command at a time may start or stop servers of a directory. Servers must not inherit descriptor 9.
lock_dir() {
  exec 9>"$DIR/lock"
  flock -w "$((READY_DEADLINE_S + STOP_DEADLINE_S))" 9 || die "another command holds $DIR/lock"
}

node_names() { [[ ! -e $DIR/nodes ]] || cut -d' ' -f1 "$DIR/nodes"; }
node_line() { [[ ! -e $DIR/nodes ]] || awk -v name="$1" '$1 == name' "$DIR/nodes"; }
node_port() { node_line "$1" | cut -d' ' -f2; }
node_internal_port() { node_line "$1" | cut -d' ' -f3; }

# This argument on a server's command line is how a pid is known to be still that server.
marker() { printf -- '-Dwakeline.local=%s/%s' "$DIR" "$1"; }

# running_pid NAME prints the pid if that process is alive and ours.
running_pid() {
  local pid file="$DIR/pids/$1.pid"
  [[ -s $file ]] || return 1
  pid=$(<"$file")
  grep -qzFx -e "$(marker "$1")" "/proc/$pid/cmdline" 2>/dev/null || return 1
  printf '%s\n' "$pid"
}

# signal NAME SIGNAL fails when the server is not running. Each server leads a process group of its own.
signal() {
  local pid
  pid=$(running_pid "$1") || return 1
  kill -s "$2" -- "-$pid" 2>/dev/null
}

# wait_stopped NAME SECONDS waits until every thread of it stands still: one that was in a system call
# stops only once it is through, and may answer somebody first.
wait_stopped() {
  local deadline=$((SECONDS + $2)) pid
  pid=$(running_pid "$1") || return 1
  while grep -qs '^State:[[:space:]]*[^TZ[:space:]]' "/proc/$pid/task"/*/status; do
    ((SECONDS < deadline)) || return 1
    sleep 0.02
  done
}

# wait_gone NAME SECONDS waits until the process holds no file and no port any more.
wait_gone() {
  local file="$DIR/pids/$1.pid" deadline=$((SECONDS + $2)) pid
  [[ -s $file ]] || return 0
  pid=$(<"$file")
  while running_pid "$1" >/dev/null || is_exiting "$pid"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
  rm -f "$file"
}

# A process that becomes another program, as `run` does, has no command line for a moment: it is no less alive.
is_alive() {
  local pid
  running_pid "$1" >/dev/null && return
  pid=$(cat "$DIR/pids/$1.pid" 2>/dev/null) && is_exiting "$pid" && return
  # Whatever it was becoming a moment ago, it is now.
  running_pid "$1" >/dev/null
}

# A process on its way out has lost its command line, but may still hold its files. A zombie holds none.
is_exiting() {
  local state
  state=$(awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null) || return 1
  [[ $state != Z ]] && [[ -z $(tr -d '\0' 2>/dev/null <"/proc/$1/cmdline") ]]
}

# stop_nodes NAME… asks all of them at once, then insists. A frozen process acts on TERM only when it is thawed.
stop_nodes() {
  local name
  for name in "$@"; do
    if signal "$name" TERM; then signal "$name" CONT || true; fi
  done
  for name in "$@"; do
    wait_gone "$name" "$STOP_DEADLINE_S" && continue
    signal "$name" KILL || true
    wait_gone "$name" "$STOP_DEADLINE_S" || die "$name (pid $(running_pid "$name")) does not die"
  done
}
