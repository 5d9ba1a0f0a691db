#!/bin/sh
# Start one container: join a control group of its own in every hierarchy, mount its root in a mount namespace of its own
# (nothing is left on the host when it ends, however it ends), become systemd-nspawn.
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
      if [ -e "$path/$file" ] && [ -z "$(cat "$path/$file")" ]; then cat "$above/$file" >"$path/$file"; fi
    done
  done
  echo $$ >"$path/cgroup.procs"
}
awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts | while read -r hierarchy; do join "$hierarchy"; done

mount -t overlay overlay -o "lowerdir=$lower,upperdir=$directory/upper,workdir=$directory/work" "$directory/root"
# The clock and the kernel are the host's: a role that is tested must not be able to change them.
exec systemd-nspawn --quiet --directory="$directory/root" --boot --register=no --keep-unit --private-users=no \
  --drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYS_RAWIO,CAP_SYS_BOOT --link-journal=no --resolv-conf=off \
  --timezone=off "$@"
