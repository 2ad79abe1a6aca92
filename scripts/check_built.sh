#!/usr/bin/env bash
# Install the built wheel in a fresh environment, away from the sources, and run the demo with it.
#
#     scripts/check_built.sh dist                  # the only wheel in dist
#     scripts/check_built.sh dist sbom.cdx.json    # and write what the environment holds, as CycloneDX
set -euo pipefail
dist="$(realpath "${1:?usage: scripts/check_built.sh DIST [SBOM]}")"
sbom="${2:+$(realpath -m "$2")}"
wheels=("$dist"/*.whl)
if [ "${#wheels[@]}" != 1 ] || [ ! -f "${wheels[0]}" ]; then
    echo "$dist: expected one wheel, found ${#wheels[@]}" >&2
    exit 1
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv .venv
.venv/bin/pip install --quiet "${wheels[0]}[video]"
.venv/bin/posemamba --version
.venv/bin/posemamba demo --no-open -o demo
.venv/bin/posemamba doctor
for file in LICENSE NOTICE; do
    [ -n "$(find .venv -path "*posemamba-*.dist-info*" -name "$file")" ] || { echo "the wheel lacks $file" >&2; exit 1; }
done
if [ -n "$sbom" ]; then
    python3 -m venv tools
    tools/bin/pip install --quiet cyclonedx-bom
    tools/bin/cyclonedx-py environment .venv --of JSON -o "$sbom"
fi
