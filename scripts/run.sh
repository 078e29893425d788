#!/usr/bin/env bash
# Starts the module from a checkout, as a local module of viam-server. The first start sets it up.
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

if ! command -v make >/dev/null; then
    echo "The module needs make. Install it (Debian and Ubuntu: the package make), or build the module archive." >&2
    exit 1
fi
if [ ! -e "$root/.venv/.installed" ]; then
    echo "First start: setting up $root/.venv. To do this without a time limit, run 'make setup' there." >&2
fi
# It does nothing unless setup.cfg has changed. If an update fails, for instance without a network, the module starts as
# it was installed before: that is better than no recording.
if ! make --no-print-directory -C "$root" setup >&2; then
    if [ ! -e "$root/.venv/.installed" ] || [ -e "$root/.venv/.updating" ]; then
        echo "The module could not be set up, see above. The next start tries again, as does 'make setup' in $root." >&2
        exit 1
    fi
    echo "The module could not be updated, see above. It starts as it was installed before." >&2
fi

# The working directory stays the caller's, for a relative socket path, but no module is imported from it (Python 3.11).
export PYTHONSAFEPATH=1 PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# Where it cannot write its bytecode, each start would compile all that it imports.
unset PYTHONDONTWRITEBYTECODE
if [ ! -w "$root/videostore" ] && [ -n "${VIAM_MODULE_DATA:-}" ]; then
    export PYTHONPYCACHEPREFIX="$VIAM_MODULE_DATA/bytecode"
fi
# exec: signals of viam-server must reach Python itself.
exec "$root/.venv/bin/python" -m videostore "$@"
