#!/usr/bin/env bash
# Starts the module out of a checkout, as a local module of viam-server; the first start sets it up.
set -euo pipefail

here=${BASH_SOURCE[0]}
while [ -L "$here" ]; do
    target=$(readlink "$here")
    case $target in
        /*) here=$target ;;
        *) here=$(dirname "$here")/$target ;;
    esac
done
root=$(cd -P "$(dirname "$here")/.." && pwd)

# Without a change of setup.cfg this does nothing. Where it fails later on, without network for instance, what was
# installed before is better than no recording.
if ! make --no-print-directory -C "$root" setup >&2; then
    if [ ! -e "$root/.venv/.installed" ]; then
        echo "The module could not be set up: see above, or run 'make setup' in $root." >&2
        exit 1
    fi
    echo "The module could not be brought up to date; starting it as it was installed." >&2
fi

# The working directory stays the caller's, for a relative socket path, but no module is imported from it (Python 3.11).
export PYTHONSAFEPATH=1 PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# exec: signals of viam-server must reach Python itself.
exec "$root/.venv/bin/python" -m videostore "$@"
