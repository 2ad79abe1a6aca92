#!/usr/bin/env bash
# Print what the change log says of a version; exit with 1 where it has no such section, or an empty one.
#
#     scripts/changes.sh 0.2.0
set -euo pipefail
cd "$(dirname "$0")/.."
version="${1:?usage: scripts/changes.sh VERSION}"
section="$(awk -v head="## $version" '
    /^## / { inside = ($0 == head || index($0, head ",") == 1 || index($0, head " ") == 1); next }
    inside { print }' CHANGELOG.md)"
if [ -z "${section//[[:space:]]/}" ]; then
    echo "CHANGELOG.md has nothing under '## $version'" >&2
    exit 1
fi
printf '%s\n' "$section"
