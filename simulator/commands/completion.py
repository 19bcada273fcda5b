"""``moesim completion``: shell completion of commands, groups and settings."""

from __future__ import annotations

import argparse
import sys

_BASH = """\
_moesim_complete() {
    local words=("${COMP_WORDS[@]:0:COMP_CWORD}")
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "simulate kernels list completion" -- "${COMP_WORDS[1]}"))
    elif [ "${words[1]}" = simulate ]; then
        # Hydra wants the line without our sub-command, and answers on standard output.
        local line="${COMP_LINE#* simulate}"
        COMPREPLY=($(COMP_LINE="moesim$line" COMP_POINT=$((7 + ${#line})) \\
            moesim simulate -sc query=bash 2>/dev/null))
        [[ "${COMPREPLY[0]}" == *= ]] && compopt -o nospace
    fi
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _moesim_complete moesim
"""


def main(arguments: list[str]) -> int:
    """Print the completion script of a shell."""
    parser = argparse.ArgumentParser(
        prog="moesim completion",
        description='Print a completion script; use it with: eval "$(moesim completion bash)"',
    )
    parser.add_argument("shell", choices=["bash"])
    parser.parse_args(arguments)
    sys.stdout.write(_BASH)
    return 0
