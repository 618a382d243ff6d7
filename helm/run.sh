#!/usr/bin/env bash
# Begin the run of config.yaml in a folder, or go on with it where an earlier try has begun it.
# bash run.sh FOLDER, beside which lie config.yaml and arguments: what else `swarm run` is given, one argument a line.
# Where there is a file `live`, its arguments are those of the live page, which a run that goes on has, too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
live=()
if [ -f "$here/live" ]; then
  mapfile -t live <"$here/live"
fi
if [ -s "$folder/config.yaml" ]; then
  exec swarm run --resume "$folder" --trust --address auto "${live[@]}"
fi
mapfile -t arguments <"$here/arguments"
exec swarm run "$here/config.yaml" --out "$folder" --address auto "${arguments[@]}" "${live[@]}"
