#!/bin/sh
# Start one container: join its control group in every hierarchy, mount its root filesystem in a mount namespace
# of its own (so nothing is left on the host when it ends, however it ends), become systemd-nspawn.
# usage: launch.sh GROUP LOWER DIRECTORY NSPAWN_OPTION...
set -eu
group=$1
lower=$2
directory=$3
shift 3

join() { # HIERARCHY
  path=$1
  for part in $(echo "$group" | tr / ' '); do
    above=$path
    path=$path/$part
    mkdir -p "$path"
    # cgroup v1: a new cpuset is empty, and no process may enter an empty one
    for file in cpuset.cpus cpuset.mems; do
      if [ -e "$path/$file" ] && [ -z "$(cat "$path/$file")" ]; then cat "$above/$file" > "$path/$file"; fi
    done
  done
  # All containers of a group count as one process beside those outside any group, unless it has more shares.
  top=$1/${group%%/*}
  if [ -e "$top/cpu.shares" ]; then echo 4096 > "$top/cpu.shares"; fi
  if [ -e "$top/cpu.weight" ]; then echo 400 > "$top/cpu.weight"; fi
  echo $$ > "$path/cgroup.procs"
}
awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts | while read -r hierarchy; do join "$hierarchy"; done

mkdir -p "$directory/upper" "$directory/work" "$directory/root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$directory/upper,workdir=$directory/work" "$directory/root"
exec systemd-nspawn --quiet --directory="$directory/root" --boot --register=no --keep-unit --private-users=no \
  --link-journal=no --resolv-conf=off --timezone=off "$@"
