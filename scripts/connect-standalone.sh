#!/bin/sh
# Runs `engine standalone` under the name and with the arguments of Kafka Connect's own script:
#   connect-standalone.sh [-daemon] WORKER [CONNECTOR…]
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
engine=$root/.venv/bin/engine
[ -x "$engine" ] || engine=$(command -v engine) || {
    echo "engine is not installed: run scripts/demo once, or pip install ." >&2
    exit 2
}
if [ $# -eq 0 ]; then
    echo "USAGE: $0 [-daemon] connect-standalone.properties [connector1.properties …]" >&2
    exit 1
fi
if [ "$1" = -daemon ]; then
    shift
    logs=${LOG_DIR:-$root/logs}
    mkdir -p "$logs"
    setsid nohup "$engine" standalone "$@" </dev/null >"$logs/connectStandalone.out" 2>&1 &
    exit 0
fi
exec "$engine" standalone "$@"
