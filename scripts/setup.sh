# Sourced by scripts/run and scripts/test: makes the virtual environment where there is none.
#
#   setup_environment EXTRAS   installs moesim editable with the extras ("" or "[dev]")
#
# MOESIM_VENV names the environment (default: .venv beside this folder), PYTHON the interpreter.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${MOESIM_VENV:-$root/.venv}

setup_environment() {
    local extras=$1
    local stamp="$venv/.moesim-installed$extras"
    if [ ! -x "$venv/bin/python" ]; then
        local python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
        if [ -z "$python" ]; then
            echo "moesim: no python3 found; install Python 3.11 or newer, or set PYTHON." >&2
            exit 2
        fi
        if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "moesim: $python is older than 3.11; set PYTHON to a newer interpreter." >&2
            exit 2
        fi
        echo "moesim: making the virtual environment $venv" >&2
        "$python" -m venv "$venv"
    fi
    # The stamp is older than pyproject.toml when the dependencies may have changed.
    if [ ! -f "$stamp" ] || [ "$root/pyproject.toml" -nt "$stamp" ]; then
        echo "moesim: installing moesim$extras (once)" >&2
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$root$extras" >&2
        # pip compiles what it copies; where nothing may write bytecode later, every run would wait.
        "$venv/bin/python" -m compileall -q "$root/simulator"
        touch "$stamp"
    fi
}
