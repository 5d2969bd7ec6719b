#!/usr/bin/env bash
# Tests and timings on a machine with an NVIDIA GPU. Needs bash, cmake 3.21, a C++ compiler and nvcc (11.8 to 13.x), no network; where
# Node and the workspace's packages are, the job through the addon runs too.
#
#   bash scripts/test-gpu.sh [--emulated] [--out <file>]
#
# Every op's tests on the device, on its own code path and on that of sm_75; the core's tests; compute-sanitizer where it is; times of
# every op and of a training step at the 270M shapes. All goes into one file: bench/results/gpu-<device>-<date>.json. A step that fails
# does not stop the next. Exit status: 0 all passed, 1 something failed, 3 this machine has no GPU or no toolkit.
# --emulated runs the same on the emulated GPU, with tiny shapes, to try this script; its times mean nothing.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.."

device=cuda
out=
while [ $# -gt 0 ]; do
  case $1 in
    --emulated) device=emulated ;;
    --out) out=${2:?--out needs a file}; shift ;;
    *) echo "test-gpu: what is $1?" >&2; exit 2 ;;
  esac
  shift
done

stop() { echo "test-gpu: $1" >&2; exit 3; }
has() { command -v "$1" >/dev/null 2>&1; }
# A JSON string of all of stdin, without control characters.
json() { printf '"%s"' "$(tr '\t' ' ' | tr -d '\000-\010\013-\037' | sed 's/\\/\\\\/g; s/"/\\"/g' | awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }')"; }

# ---- what is there

has cmake || stop "cmake was not found; version 3.21 or newer is needed"
nvcc_version=
if [ $device = cuda ]; then
  has nvidia-smi || stop "there is no NVIDIA GPU here: nvidia-smi was not found"
  query() { local rows; rows=$(nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null) && head -1 <<<"$rows"; }
  name=$(query name)
  [ -n "$name" ] || stop "there is no NVIDIA GPU here: nvidia-smi says: $(nvidia-smi 2>&1 | head -2 | tr '\n' ' ')"
  has nvcc || PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
  has nvcc || stop "nvcc was not found, on the PATH or in ${CUDA_HOME:-/usr/local/cuda}/bin; CUDA toolkit 11.8 to 13.x is needed"
  nvcc_version=$(nvcc --version | sed -n 's/.*V\([0-9.]*\)$/\1/p')
  case $nvcc_version in
    11.[89].* | 12.* | 13.*) ;;
    *) echo "test-gpu: nvcc is $nvcc_version, gemmatune is made for 11.8 to 13.x; going on" >&2 ;;
  esac
  driver=$(query driver_version)
  architecture=$(query compute_cap | tr -d .)
  power=$(query power.limit)
  build=native/build/gpu
  options="-DGEMMATUNE_CUDA=ON -DGEMMATUNE_CUDA_ARCHITECTURES=$architecture -DCMAKE_CUDA_COMPILER=$(command -v nvcc)"
else
  name="emulated GPU" driver=none architecture=emulated power=none
  build=native/build/gpu-emulated
  options="-DGEMMATUNE_CUDA=OFF -DGEMMATUNE_EMULATED=ON"
fi
export GEMMATUNE_TEST_DEVICE=$device
jobs=$(nproc 2>/dev/null || echo 2)

date=$(date -u +%Y-%m-%dT%H%M%SZ)
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit="$commit with changes"
if [ -z "$out" ]; then
  slug=$(printf %s "$name" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9-')
  if [ $device = cuda ]; then out=bench/results/gpu-$slug-$date.json; else out=$build/result.json; fi
fi
mkdir -p "$(dirname "$out")" "$build"
log=$build/step.log
failed=0
steps=()
timings=()

# The file is written anew after every step: what was measured is never lost.
write() {
  {
    printf '{\n  "device": %s,\n  "architecture": "%s",\n  "driver": "%s",\n  "power_limit": "%s",\n  "toolkit": "%s",\n' "$(json <<<"$name")" "$architecture" "$driver" "$power" "$nvcc_version"
    printf '  "commit": "%s",\n  "date": "%s",\n  "times_mean_something": %s,\n  "steps": [' "$commit" "$date" "$([ $device = cuda ] && echo true || echo false)"
    local comma=
    for entry in "${steps[@]:+${steps[@]}}"; do printf '%s\n    %s' "$comma" "$entry"; comma=,; done
    printf '\n  ],\n  "timings": ['
    comma=
    for entry in "${timings[@]:+${timings[@]}}"; do printf '%s\n    %s' "$comma" "$entry"; comma=,; done
    printf '\n  ]\n}\n'
  } >"$out.part" && mv "$out.part" "$out"
}

# step <name> <seconds allowed> <command...>: runs it and notes the outcome, with the tests it counts and the end of its output if it fails.
step() {
  local title=$1 limit=$2 begin status seconds counts tail end=
  shift 2
  echo "== $title"
  begin=$(date +%s)
  timeout "$limit" "$@" >"$log" 2>&1
  status=$?
  seconds=$(($(date +%s) - begin))
  counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/,"passed":\1,"failed":\2/p' "$log" | tail -1)
  if [ $status -ne 0 ]; then
    failed=1
    [ $status -ne 124 ] || echo "stopped after $limit s" >>"$log"
    tail=$(grep -v '^{' "$log" | tail -40)
    echo "$tail"
    end=",\"output\":$(json <<<"$tail")"
  fi
  echo "   $([ $status -eq 0 ] && echo ok || echo "FAILED ($status)"), $seconds s${counts:+, $(tail -1 "$log")}"
  steps+=("{\"step\":$(json <<<"$title"),\"status\":$status,\"seconds\":$seconds$counts$end}")
  write
  return $status
}

# timed <step's name> <ops_bench's arguments>: its lines become timings, also those from before a failure.
timed() {
  local title=$1 line
  shift
  step "$title" 1800 "$build/ops_bench" --device $device "$@"
  while IFS= read -r line; do
    case $line in '{'*'}') timings+=("$line") ;; esac
  done <"$log"
  write
}

# ---- build

# shellcheck disable=SC2086 # several options
step "configure" 300 cmake -S native -B $build -DGEMMATUNE_TESTS=ON $options || { echo "test-gpu: see $out" >&2; exit 1; }
step "build" 3600 cmake --build $build -j "$jobs" --target ops_test core_test gpu_test golden_test ops_bench
[ -x $build/ops_test ] || { echo "test-gpu: nothing to run; see $out" >&2; exit 1; }

# ---- tests, a process for each op: after a fault a CUDA context is of no more use

for test in native/ops/*/gpu_test.cpp; do
  op=$(basename "$(dirname "$test")")
  step "$op on $device" 900 $build/ops_test "ops/$op/gpu_test.cpp"
done
step "core" 300 $build/core_test
step "the vocabulary of kernels on $device" 600 $build/gpu_test
step "golden training on $device" 900 $build/golden_test

if [ $device = cuda ] && has compute-sanitizer; then
  for tool in memcheck racecheck; do
    for op in gather rmsnorm matmul attention cross_entropy; do
      step "$op under compute-sanitizer $tool" 900 compute-sanitizer --tool $tool --error-exitcode 9 $build/ops_test "ops/$op/gpu_test.cpp"
    done
  done
fi

# ---- timings

timed "timings"
if [ $device = cuda ]; then
  clocks=$(query clocks.sm,clocks.mem,power.draw,temperature.gpu)
  timings+=("{\"after\":\"timings\",\"clocks.sm, clocks.mem, power.draw, temperature.gpu\":$(json <<<"$clocks")}")
fi
[ "$architecture" = 75 ] || timed "timings on the code path of sm_75" --level sm75

# ---- the whole job, through the addon

if has node && [ -d node_modules ]; then
  step "build of the addon and the packages" 3600 node scripts/build.mjs &&
    step "golden training through the addon on $device" 1800 node_modules/.bin/vitest run test/parity/gpu.test.ts &&
    step "quickstart on $device" 1800 node packages/cli/bin/gemmatune.mjs quickstart --device $device --max-steps 4 --n 4 --output-dir "$build/quickstart" --overwrite
else
  echo "== the job through the addon: left out, Node or the workspace's packages are not here"
fi

write
echo "test-gpu: $([ $failed -eq 0 ] && echo 'all passed' || echo 'something failed'); $out"
exit $failed
