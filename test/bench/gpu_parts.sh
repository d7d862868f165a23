# What the scripts gpu_*.sh share, to be sourced: FOLDER for the results, PARTS, and how a part runs. $parts has all of them,
# $backend is named.
set -uo pipefail
out=$(realpath -m "${1:-out/gpu}")
shift || true
parts=" ${*:-$parts} "
mkdir -p "$out"
failed=0

# $1: seconds; $2: name of the log; the others: the command
part() {
  local limit=$1 name=$2 start=$SECONDS
  shift 2
  echo "== $name"
  timeout "$limit" "$@" > "$out/$name.log" 2>&1
  local status=$?
  [ $status = 0 ] || failed=1
  tail -n "${LINES_SHOWN:-30}" "$out/$name.log"
  echo "== $name: exit code $status, $((SECONDS - start)) s"
}
# $1: seconds; $2: name of the log and the JSON file; the others: the suite and its options
bench() {
  local limit=$1 name=$2
  shift 2
  part "$limit" "$name" node --import tsx test/bench/main.ts "$@" --json "$out/$name.json"
}
wants() { [[ $parts == *" $1 "* ]]; }
doctor() { part 60 doctor node --import tsx src/cli/main.ts doctor --backend "$backend" --json; }
# $1: seconds; $2: name of the log; the others: files, and options of mocha
tests() {
  local limit=$1 name=$2
  shift 2
  CELORA_BACKENDS=$backend CELORA_OWN=true part "$limit" "$name" node node_modules/mocha/bin/mocha.js --reporter dot "$@"
}
