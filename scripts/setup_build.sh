#!/usr/bin/env bash
# Installs what `make module` needs: make, binutils, and Python 3.10 or later with its shared library and venv module.
# It does nothing if they are installed. Viam's cloud build (meta.json, build.setup) and Dockerfile.canon run it.
set -euo pipefail

# For distributions with an older Python. PYTHON_SOURCE can be another URL of the same file.
VERSION=3.13.5
SHA256=93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640
SOURCE=${PYTHON_SOURCE:-https://www.python.org/ftp/python/$VERSION/Python-$VERSION.tar.xz}
PREFIX=/usr/local

FIT='import ctypes, ensurepip, sqlite3, ssl, sys, sysconfig, venv
sys.version_info >= (3, 10) or sys.exit(1)
sys.platform == "darwin" or ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))'

fit_python() {
    local python
    for python in python3.13 python3.12 python3.11 python3.10 python3; do
        if "$python" -c "$FIT" 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

finish() {
    local status=$?
    if [ -n "${work:-}" ]; then rm -rf "$work"; fi
    if [ "$status" != 0 ]; then
        echo "The build tools could not be installed, see above. To try again, run scripts/setup_build.sh." >&2
    fi
}
trap finish EXIT

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

# On a dead connection it gives up after some minutes.
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
        -o Acquire::https::Timeout=30 "$@"
}

install() {
    apt install --yes --no-install-recommends "$@"
}

# Prints a dot for every 50 lines, so that a long build shows that it goes on.
dots() {
    awk 'NR % 50 == 0 { printf "."; fflush() } END { print "" }'
}

build_python() {
    install ca-certificates curl gcc libbz2-dev libc6-dev libffi-dev liblzma-dev libsqlite3-dev libssl-dev xz-utils \
        zlib1g-dev
    work=$(mktemp -d)
    echo "Downloading Python $VERSION."
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 30 --speed-time 60 --speed-limit 1000 \
        --output "$work/python.tar.xz" "$SOURCE"
    echo "$SHA256  $work/python.tar.xz" | sha256sum --check --quiet
    tar --extract --file="$work/python.tar.xz" --directory="$work" --strip-components=1 --no-same-owner
    cd "$work"
    echo "Building Python $VERSION; this takes some minutes."
    ./configure --prefix="$PREFIX" --enable-shared --without-static-libpython --disable-test-modules \
        LDFLAGS="-Wl,-rpath,$PREFIX/lib" | dots
    make --jobs="$(getconf _NPROCESSORS_ONLN)" | dots
    # altinstall: python3 stays the distribution's own.
    as_root make altinstall | dots
    cd /
}

case $(uname -s) in
    Darwin)
        fit_python || brew install --quiet python@3.13
        ;;
    Linux)
        missing=()
        command -v make >/dev/null || missing+=(make)
        command -v objdump >/dev/null || missing+=(binutils)
        if [ ${#missing[@]} -gt 0 ] || ! fit_python; then
            apt update
            if [ ${#missing[@]} -gt 0 ]; then install "${missing[@]}"; fi
            if ! fit_python; then
                python=$(apt-cache --no-all-versions show python3 | sed -n 's/^Version: \(3\.[0-9]*\).*/\1/p')
                case $python in
                    3.[0-9] | '') ;;
                    *) install python3 python3-venv "libpython$python" ;;
                esac
            fi
            fit_python || build_python
        fi
        ;;
esac
fit_python || {
    echo "No Python 3.10 or later with its shared library could be installed. Install one by hand." >&2
    exit 1
}
