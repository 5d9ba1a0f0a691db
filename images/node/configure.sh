#!/bin/sh
# Inside the image's root, after its files are in place: what only programs of the image can do.
set -eu

# The login user is made here and not at boot: cloud-init then only adds the key.
groupadd --system operators
useradd --create-home --shell /bin/bash --comment "Stakeyard operator" --groups operators stakeyard
chmod 0440 /etc/sudoers.d/*
visudo -cq

systemctl -q enable systemd-networkd systemd-resolved nftables chrony ssh stakeyard-host-key
# cloud-init: only the stage that needs the metadata. The others load Python for seconds on an emulated guest and have
# no module to run.
systemctl -q mask cloud-init-local cloud-config cloud-final cloud-init-hotplugd.socket
ln -s /lib/systemd/system/cloud-init.target /etc/systemd/system/multi-user.target.wants/
# Programs that systemd would run at every boot to look for what this image has not.
mkdir -p /etc/systemd/system-generators
for generator in cloud-init-generator systemd-cryptsetup-generator systemd-gpt-auto-generator \
  systemd-hibernate-resume-generator systemd-integritysetup-generator systemd-rc-local-generator \
  systemd-system-update-generator systemd-sysv-generator systemd-veritysetup-generator; do
  ln -s /dev/null "/etc/systemd/system-generators/$generator"
done
# Not at boot of a server that lives behind a serial console and on one virtual disk.
systemctl -q mask e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer \
  getty@tty1.service systemd-pstore.service systemd-firstboot.service
# File systems and modules of the kernel that nothing here asks for: each is a program to start at boot.
systemctl -q mask sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
  dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount systemd-binfmt.service \
  systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-network-generator.service \
  modprobe@configfs.service modprobe@drm.service modprobe@dm_mod.service modprobe@fuse.service modprobe@loop.service
chmod a-x /etc/update-motd.d/* # would run at every login
# It holds up a shutdown during an upgrade; apt-daily-upgrade.service does that itself (KillMode=process).
systemctl -q mask unattended-upgrades.service

cat /etc/initramfs-tools/modules.stakeyard >>/etc/initramfs-tools/modules
rm /etc/initramfs-tools/modules.stakeyard
update-initramfs -u -k all

# sshd does not check its settings without a host key; then every server makes its own.
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
mkdir -p /run/sshd
sshd -t
rm -rf /run/sshd /etc/ssh/ssh_host_*
nft -c -f /etc/nftables.conf
sed -i /unsafe-io/d /etc/dpkg/dpkg.cfg.d/* # fit for a build, not for a server
: >/etc/machine-id # empty, not `uninitialized`: that would apply every unit's preset at the first boot
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
rm -rf /var/cache/apt/*.bin /var/lib/apt/lists/* /var/log/*.log /var/log/apt /var/cache/debconf/*-old
# Nothing in /usr is newer: no index has to be made again at the first boot.
touch /etc/.updated /var/.updated
