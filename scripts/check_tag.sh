#!/usr/bin/env bash
# Check that a tag is a version that a release may have: v0.2.0, v0.2.0rc1, v1.0.0.post1. The change log must have it.
#
#     scripts/check_tag.sh v0.2.0
set -euo pipefail
cd "$(dirname "$0")/.."
tag="${1:?usage: scripts/check_tag.sh TAG}"
if ! [[ "$tag" =~ ^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)((a|b|rc)(0|[1-9][0-9]*))?(\.post(0|[1-9][0-9]*))?$ ]]; then
    echo "$tag is not of the form v1.2.3, v1.2.3rc1 or v1.2.3.post1" >&2
    exit 1
fi
scripts/changes.sh "${tag#v}" >/dev/null
