#!/bin/sh
# one_gpu.sh INDEX COMMAND…: runs a command that sees one of the machine's NVIDIA GPUs, the first being 0. WebGPU takes the
# first GPU that it sees. Linux, as root.
exec unshare --mount sh -c '
  kept=$1; shift; index=0
  for node in /dev/nvidia[0-9]*; do
    [ "$index" = "$kept" ] || mount --bind /dev/null "$node" || exit 1
    index=$((index + 1))
  done
  exec "$@"
' sh "$@"
