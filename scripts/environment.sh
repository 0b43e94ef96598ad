# Sourced by the scripts beside it: makes .venv with the package in it, and puts it first in PATH.
#
#   environment EXTRA     EXTRA is `embedded` (to run the engine) or `dev` (to work on it)
#
# Installs what is missing of Debian's packages when it may (root, or sudo without a password), else
# says what to install. Without changes in pyproject.toml the second call needs no network.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { printf '%s\n' "$*" >&2; exit 1; }

find_python() {
  local each
  for each in ${PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3; do
    if "$each" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$each"
      return 0
    fi
  done
  return 1
}

install_packages() {
  local sudo=()
  if [[ $(id -u) != 0 ]]; then
    sudo -n true 2>/dev/null || return 1
    sudo=(sudo -n)
  fi
  command -v apt-get >/dev/null || return 1
  printf 'installing %s\n' "$*" >&2
  "${sudo[@]}" apt-get update -q >/dev/null 2>&1 || true
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "$@" >/dev/null
}

environment() {
  local extra=$1 python stamp wanted
  cd "$root"
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  wanted="$extra $(sha256sum pyproject.toml | cut -d' ' -f1)"
  stamp=.venv/.installed-$extra
  if [[ ! -x .venv/bin/python ]] || ! .venv/bin/python -c '' 2>/dev/null; then
    if ! python=$(find_python); then
      install_packages python3 python3-venv ca-certificates && python=$(find_python) ||
        die 'Python 3.11 or newer with venv is needed: apt install python3 python3-venv'
    fi
    printf 'making .venv with %s\n' "$python" >&2
    "$python" -m venv .venv
  fi
  if [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
    printf 'installing the package and what it needs into .venv\n' >&2
    .venv/bin/python -m pip install -q -e ".[$extra]" || die 'pip could not install the package'
    printf '%s' "$wanted" >"$stamp"
  fi
  if [[ $extra == dev ]] && ! command -v cc >/dev/null; then
    install_packages gcc libc6-dev || true  # one test sets a clock; it says so where it cannot
  fi
  # half of a start is compiling where PYTHONDONTWRITEBYTECODE is set; pip does this for wheels only
  .venv/bin/python -m compileall -q engine connectors
  export PATH="$root/.venv/bin:$PATH" VIRTUAL_ENV="$root/.venv"
}
