#!/bin/bash
# Runs in a chroot of a node, after its configuration files were unpacked: owners, diversions, and which
# units start. May run again.
# usage: configure.sh controller|compute INSTANCES_DIRECTORY
set -euo pipefail
role=$1
instances=$2

install -d -o nova -g nova -m 0755 "$instances"
install -d -o cinder -g cinder -m 0777 /srv/volumes
rm -f /etc/machine-id
touch /etc/machine-id

# The packaged emulator is put aside once; a wrapper takes its place.
qemu=/usr/bin/qemu-system-x86_64
[ -e "$qemu.real" ] || dpkg-divert --quiet --local --rename --divert "$qemu.real" --add "$qemu"
install -m 0755 /usr/local/lib/stakeyard-lab/qemu-system-x86_64 "$qemu"
rm -rf /var/cache/libvirt/qemu/capabilities
# libvirt would wait for machined, which has no place in a container
rm -f /usr/share/dbus-1/system-services/org.freedesktop.machine1.service

# One thread a process: with more, a lock that two threads want kills eventlet's loop sooner or later ("cannot switch
# to a different thread") and the process never answers again. A kept connection would hold that only thread.
for ini in /etc/*/*-uwsgi.ini; do
  sed -i -E 's/^processes = .*/processes = 1/; s/^threads = .*/threads = 1/
    s/^plugins = python3,apparmor/plugins = python3/; /^apparmor-profile/d' "$ini"
  grep -q '^add-header' "$ini" || sed -i '/^\[uwsgi\]/a add-header = Connection: close' "$ini"
done
for entry in keystone:3 placement-api:1 nova-api:3 neutron-api:2 cinder-api:2 nova-api-metadata:2; do
  sed -i "s/^processes = .*/processes = ${entry##*:}/" /etc/*/"${entry%%:*}"-uwsgi.ini
done

# ebtables-nft 1.8.9 cannot delete a rule with --among-src, and the agent would try again for minutes whenever a server
# that keeps its port is replaced. The chain holds that rule and the drop at its end: it is emptied and closed instead.
arp_protect=/usr/lib/python3/dist-packages/neutron/plugins/ml2/drivers/linuxbridge/agent/arp_protect.py
emptied="ebtables(['-F', chain]); ebtables(['-A', chain, '-j', 'DROP'])"
sed -i "s/^\( *\)ebtables(\['-D', chain\] + rule\.split())\$/\1$emptied/" "$arp_protect"
grep -qF "$emptied" "$arp_protect"

infrastructure=(mariadb rabbitmq-server memcached)
everything=(keystone glance-api placement-api nova-api nova-api-metadata nova-conductor nova-scheduler nova-compute
  neutron-api neutron-rpc-server neutron-linuxbridge-agent neutron-dhcp-agent neutron-l3-agent
  neutron-metadata-agent cinder-api cinder-scheduler cinder-volume)
case $role in
  controller)
    services=("${everything[@]}")
    systemctl -q enable "${infrastructure[@]}"
    ;;
  compute)
    services=(nova-compute neutron-linuxbridge-agent)
    systemctl -q disable "${infrastructure[@]}" "${everything[@]}" 2> /dev/null || true
    install -D -m 0644 /dev/null /var/lib/stakeyard-lab/initialised   # it has no database to wait for
    ;;
esac
install -d /var/lib/stakeyard-lab
printf '%s\n' "${services[@]}" > /var/lib/stakeyard-lab/services
for service in "${services[@]}"; do
  install -D -m 0644 /usr/local/lib/stakeyard-lab/service.conf "/etc/systemd/system/$service.service.d/lab.conf"
done
systemctl -q enable lab-net "${services[@]}" libvirtd
if [ "$role" = compute ] && [ -e /etc/systemd/system/lab-container-host.service ]; then
  systemctl -q enable lab-container-host.service lab-loop-devices.timer
fi
systemctl -q disable haproxy keepalived radvd rtslib-fb-targetctl epmd.service epmd.socket e2scrub_reap iscsid \
  open-iscsi 2> /dev/null || true
# What makes no sense in a container, or would only cost time.
systemctl -q mask systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
  systemd-udev-trigger.service systemd-modules-load.service systemd-networkd-wait-online.service \
  apparmor.service systemd-resolved.service getty.target console-getty.service e2scrub_all.timer \
  fstrim.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer libvirt-guests.service \
  dev-hugepages.mount multipathd.service multipathd.socket iscsid.service iscsid.socket \
  open-iscsi.service dm-event.socket lvm2-monitor.service lvm2-lvmpolld.socket tgt.service \
  nfs-client.target 2> /dev/null || true
