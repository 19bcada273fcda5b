"""``moesim completion``: shell completion of commands, groups and settings."""

from __future__ import annotations

import sys
from dataclasses import fields

from simulator.commands import COMMANDS
from simulator.commands.arguments import Parser
from simulator.commands.plan import Settings as PlanSettings

BASH = r"""\
_moesim_complete() {
    # The line up to the cursor: COMP_WORDS is split at "=", which overrides need whole.
    local line="${COMP_LINE:0:COMP_POINT}" current command replies=""
    current="${line##*[[:space:]]}"
    read -r _ command _ <<< "$line"
    if [[ "$line" =~ ^[[:space:]]*[^[:space:]]+[[:space:]]+[^[:space:]]*$ ]]; then
        replies="@COMMANDS@ --help --version"
    elif [[ "$command" == simulate && "$current" == -* ]]; then
        replies="--help --multirun --cfg --config-dir --info --hydra-help"
    elif [[ "$command" =~ ^(sweep|plan)$ && "$current" == -* ]]; then
        replies="--help"
    elif [[ "$command" == explain && "$current" == -* ]]; then
        replies="--help --batch --context --picture --json"
    elif [[ "$command" == export && "$current" == -* ]]; then
        replies="--perfetto --help"
    elif [[ "$command" == list ]]; then
        replies="models gpus topologies drafters acceptance workloads formats"
        replies+=" scenarios engines tables parts"
    elif [[ "$command" == kernels ]]; then
        replies="import"
    elif [[ "$command" == completion ]]; then
        replies="bash"
    elif [[ "$command" =~ ^(validate|calibrate|show|study|workload|export|compare|report)$ ||
        "$current" == *.*=* || ( "$command" =~ ^(sweep|plan)$ && "$current" == *=* ) ]]; then
        replies="$("${COMP_WORDS[0]}" completion words "$line" 2>/dev/null)"
    fi
    if [[ "$replies" == "" && "$command" =~ ^(simulate|explain|plan|sweep)$ ]]; then
        # Hydra answers; it wants the line without our sub-command.
        line="${line#*"$command"}"
        replies="$(COMP_LINE="moesim$line" "${COMP_WORDS[0]}" simulate -sc query=bash 2>/dev/null)"
        [[ "$command" == plan && "$current" != *=* ]] && replies+=" @PLAN@"
        [[ "$command" == sweep && "$current" != *=* ]] && replies+=" executor= workers= address="
    fi
    local IFS=$' \t\n'
    COMPREPLY=($(compgen -W "$replies" -- "$current"))
    [[ "${COMPREPLY[*]}" == *[=./] ]] && compopt -o nospace
    if [[ "$COMP_WORDBREAKS" == *=* && "$current" == *=* ]]; then
        # Readline replaces only what follows "=".
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*=}"}"}")
    fi
}
complete -o default -F _moesim_complete moesim
"""
"""What ``eval "$(moesim completion bash)"`` defines; bash 4 or later."""


def main(arguments: list[str]) -> int:
    """Print the completion script of a shell."""
    parser = Parser(
        prog="moesim completion",
        description='Print a completion script; use it with: eval "$(moesim completion bash)"',
    )
    parser.add_argument("shell", choices=["bash", "words"], help="words: used by the script")
    parser.add_argument("line", nargs="?", default="", help="for words: the line to complete")
    options = parser.parse_args(arguments)
    if options.shell == "words":
        from simulator.commands.proposals import proposals  # noqa: PLC0415 - slow

        sys.stdout.write("\n".join(proposals(options.line)) + "\n")
        return 0
    script = BASH
    for mark, names in (
        ("COMMANDS", list(COMMANDS)),
        ("PLAN", [f"{field.name}=" for field in fields(PlanSettings)]),
    ):
        script = script.replace(f"@{mark}@", " ".join(names))
    sys.stdout.write(script)
    return 0


def uninstall() -> int:
    """Print what undoes the completion script."""
    sys.stdout.write("complete -r moesim\nunset -f _moesim_complete\n")
    return 0
