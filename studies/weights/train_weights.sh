#!/usr/bin/env bash
# Train recipes side by side, one on each GPU, and score what comes out.
# Usage: studies/weights/train_weights.sh OUT RECIPE[:SIZE][=MINUTES] ...
#   e.g. studies/weights/train_weights.sh out mocap:s=20 mocap:l=20 mocap_motionbert=20 my_recipe.yaml
#   RECIPE: a name that "posemamba train --list" prints, or a YAML file; SIZE: --size; MINUTES: --budget-minutes.
#   PARTS (environment): of "calibrate report robustness splits windows", which to do after training; all by default.
#   GPUS (environment): which to use, by their numbers, e.g. "0 1 2"; all by default.
# In OUT, for each run NAME (recipe and size, as mocap_s): NAME.safetensors (half precision), NAME.*.json and .txt
# (scores), NAME.csv (training's log), NAME.log. What is there is not done again, and a training that was cut off is
# resumed: call again with the same OUT.
set -euo pipefail
[ $# -ge 2 ] || { sed -n 2,11p "$0" >&2; exit 2; }
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")/../.."
export PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH}
parts=${PARTS:-calibrate report robustness splits windows}
gpus=${GPUS-$(nvidia-smi -L 2>/dev/null | sed -n 's/^GPU \([0-9]*\):.*/\1/p' || true)}
queue=$(mktemp)
printf '%s\n' "$@" >"$queue"

pm() { python3 -m posemamba "$@"; }

once() { # NAME.json COMMAND...: makes it, and what is printed NAME.txt, unless it is there
  [ -e "$1" ] || "${@:2}" >"${1%.*}.txt" 2>&1 || echo "failed, see ${1%.*}.txt" >&2
}

wanted() { case " $parts " in *" $1 "*) ;; *) return 1 ;; esac }

name_of() { # RECIPE[:SIZE][=MINUTES]: the run's name
  local job=${1%%=*}
  local recipe=${job%%:*} size=""
  [ "$recipe" = "$job" ] || size=_${job#*:}
  echo "$(basename "$recipe" .yaml)$size"
}

work() { # RECIPE[:SIZE][=MINUTES]
  local job=${1%%=*} name to weights about most frames changes=()
  local recipe=${job%%:*}
  [ "$recipe" = "$job" ] || changes+=(--size "${job#*:}")
  [ "$job" = "$1" ] || changes+=(--budget-minutes "${1#*=}")
  name=$(name_of "$1")
  to=$out/$name
  weights=$to.safetensors
  if [ ! -e "$to.trained" ]; then
    pm train "$recipe" -o "$out/runs/$name" "${changes[@]}" >>"$to.log" 2>&1 || return
    pm export "$out/runs/$name" -o "$weights" --half >>"$to.log" 2>&1 || return
    awk 'FNR > 1 || NR == 1' $(ls -tr "$out/runs/$name"/logs/*/metrics.csv) >"$to.csv"
    touch "$to.trained"
  fi
  about=$(pm info --weights "$weights") || return
  if wanted calibrate && [ ! -e "$to.calibrate.txt" ] && grep -q '^  model: posemamba$' <<<"$about"; then
    pm calibrate "$weights" -o "$to.tmp.safetensors" >"$to.tmp.txt" 2>&1 || return
    mv "$to.tmp.safetensors" "$weights" && mv "$to.tmp.txt" "$to.calibrate.txt"
  fi
  # Scorings wait for clips rather than for the GPU, so they go side by side, of few threads each.
  local one=(--quick --no-flip)
  export OMP_NUM_THREADS=4
  if wanted robustness; then
    once "$to.robustness.json" pm evaluate "$weights" "${one[@]}" --robustness --json "$to.robustness.json" &
  fi
  if wanted report; then
    once "$to.test.json" pm evaluate "$weights" --actions --json "$to.test.json" --report "$to.report" &
  fi
  if wanted splits; then
    once "$to.train_1.json" pm evaluate "$weights" "${one[@]}" --split train --clips 60 --json "$to.train_1.json" &
    once "$to.validation_1.json" pm evaluate "$weights" "${one[@]}" --split validation --json "$to.validation_1.json" &
    once "$to.test_1.json" pm evaluate "$weights" "${one[@]}" --json "$to.test_1.json" &
  fi
  most=$(sed -n '1s/.*: \([0-9]*\) frames.*/\1/p' <<<"$about")
  wanted windows && for frames in 81 27; do
    [ "$frames" -ge "$most" ] ||
      once "$to.window_$frames.json" pm evaluate "$weights" "${one[@]}" --window "$frames" --json "$to.window_$frames.json" &
  done
  wait
  unset OMP_NUM_THREADS
  return 0
}

next() { # takes the queue's first line away and prints it
  exec 9>"$queue.lock"
  flock 9
  head -n 1 "$queue"
  sed -i 1d "$queue"
  exec 9>&-
}

worker() { # GPU
  local job
  [ -z "$1" ] || export CUDA_VISIBLE_DEVICES=$1
  while job=$(next) && [ -n "$job" ]; do
    work "$job" || echo "$job: failed, see $out/$(name_of "$job").*" >&2
    echo "$(date +%T) $job"
  done
}

if [ -n "$gpus" ]; then
  for gpu in $gpus; do worker "$gpu" & done
  wait
else
  worker ""
fi
rm -f "$queue" "$queue.lock"
