#!/usr/bin/env bash
# The README's two set-up commands, with the demo and the quick tests, in a fresh environment of each Python named:
#
#     scripts/pythons.sh 3.10 3.13
#     scripts/pythons.sh --find 3.13    # print the path of that Python, or exit with 1
#
# Pythons are `python3.X` on the PATH, or pyenv's. Files that git ignores are left out. The script stops at the first
# Python that is absent or fails.
set -euo pipefail
cd "$(dirname "$0")/.."
POSEMAMBA_SHARED="$(realpath -m "${POSEMAMBA_SHARED:-../shared}")"
export POSEMAMBA_SHARED

find_python() {
    local path
    for path in "$(command -v "python$1" || true)" "$(pyenv root 2>/dev/null || true)"/versions/"$1".*/bin/python; do
        # pyenv's shims exist for Pythons that it does not run, too
        if [ -x "$path" ] && [ "$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ]; then
            printf '%s\n' "$path"
            return
        fi
    done
    return 1
}

if [ "${1:-}" = --find ]; then
    find_python "${2:?usage: scripts/pythons.sh --find VERSION}"
    exit
fi
if [ $# -eq 0 ]; then
    echo "usage: scripts/pythons.sh VERSION..., such as 3.10 3.13" >&2
    exit 2
fi

export PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
use="$(scripts/readme_command.sh use)"
tests="$(scripts/readme_command.sh tests)"
summary=()

# step NAME COMMAND: run the command in the copy, with `python3` as the Python under test
step() {
    printf '\n== Python %s: %s\n%s\n' "$version" "$1" "$2"
    SECONDS=0
    if ! (cd "$folder" && PATH="$work/bin:$PATH" bash -euo pipefail -c "$2" </dev/null); then
        echo "Python $version: $1 failed" >&2
        exit 1
    fi
    echo "-- Python $version, $1: ${SECONDS} s"
}

for version in "$@"; do
    if ! python="$(find_python "$version")"; then
        echo "Python $version is not on this machine: no python$version on the PATH, none of pyenv's" >&2
        exit 1
    fi
    folder="$work/posemamba"
    rm -rf "$folder" "$work/bin"
    mkdir -p "$folder" "$work/bin"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$work/bin/python3"
    chmod +x "$work/bin/python3"
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
            if [ -e "$file" ]; then printf '%s\0' "$file"; fi
        done | tar -c --null -T - | tar -x -C "$folder"
    else
        tar -c --exclude=./.git --exclude=./.venv . | tar -x -C "$folder"
    fi

    step "set-up and demo, as the README says" "$use"
    took="$SECONDS"
    size="$(du -sm "$folder"/.venv/lib/python*/site-packages | cut -f1)"
    step "quick tests, as the README says" "$tests"
    torch="$("$folder/.venv/bin/python" -c 'import torch; print(torch.__version__)')"
    summary+=("$(printf '%-8s %-14s %10s s %10s s %10s MB' "$version" "$torch" "$took" "$SECONDS" "$size")")
done

printf '\n%-8s %-14s %12s %12s %13s\n' Python PyTorch set-up tests installed
printf '%s\n' "${summary[@]}"
