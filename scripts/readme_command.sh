#!/usr/bin/env bash
# Print the command that follows <!-- setup: NAME --> in the README: `use` or `tests`.
set -euo pipefail
cd "$(dirname "$0")/.."
command="$(awk -v mark="<!-- setup: ${1:?usage: scripts/readme_command.sh use|tests} -->" '
    $0 == mark { marked = 1; next }
    marked && /^```/ { if (inside) exit; inside = 1; next }
    inside { print }' README.md)"
if [ -z "$command" ]; then
    echo "README.md: no command after <!-- setup: $1 -->" >&2
    exit 1
fi
printf '%s\n' "$command"
