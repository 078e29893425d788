#!/usr/bin/env bash
# Installs what `make module` needs and does not make itself: make, binutils, and a Python 3.10 or later that has its
# shared library and can make environments. Viam's cloud build runs it (meta.json, build.setup), and so does
# Dockerfile.canon. Where all of it is there it does nothing.
set -euo pipefail

# For distributions whose own Python is older. PYTHON_SOURCE names another place of the same file.
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

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@"
}

build_python() {
    install ca-certificates curl gcc libbz2-dev libc6-dev libffi-dev liblzma-dev libsqlite3-dev libssl-dev xz-utils \
        zlib1g-dev
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    curl --fail --silent --show-error --location --retry 3 --output "$work/python.tar.xz" "$SOURCE"
    echo "$SHA256  $work/python.tar.xz" | sha256sum --check --quiet
    tar --extract --file="$work/python.tar.xz" --directory="$work" --strip-components=1 --no-same-owner
    cd "$work"
    ./configure --quiet --prefix="$PREFIX" --enable-shared --without-static-libpython --disable-test-modules \
        LDFLAGS="-Wl,-rpath,$PREFIX/lib"
    make --silent --jobs="$(getconf _NPROCESSORS_ONLN)"
    # altinstall: what the distribution calls python3 stays what it is.
    as_root make --silent altinstall
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
            as_root apt-get update --quiet
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
    echo "No Python 3.10 or later with a shared library could be installed: install one by hand." >&2
    exit 1
}
