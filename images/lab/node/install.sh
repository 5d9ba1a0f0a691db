#!/bin/bash
# Runs in a chroot of the bare base system: installs the packages that all nodes share. Nothing is
# configured and nothing may start here.
# usage: install.sh PACKAGE...   (debconf answers in /root/preseed.txt)
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
debconf-set-selections /root/preseed.txt
apt-get -q update

# Byte-compiling package by package costs minutes: the compiler is put aside and run once at the end.
dpkg-divert --quiet --local --rename --divert /usr/bin/py3compile.real --add /usr/bin/py3compile
ln -sf /bin/true /usr/bin/py3compile
eatmydata apt-get -q -y -o Dpkg::Use-Pty=0 install "$@"
rm -f /usr/bin/py3compile
dpkg-divert --quiet --local --rename --remove /usr/bin/py3compile
# Some packages carry files for other Python versions, which do not compile: not an error.
python3 -m compileall -q -j0 /usr/lib/python3/dist-packages > /dev/null 2>&1 || true

# An ordinary kernel, for one purpose: to find out whether guests boot under KVM on this machine.
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
cd /tmp
apt-get -q download "$kernel"
mkdir -p kernel /usr/lib/stakeyard-lab
dpkg-deb --fsys-tarfile "$kernel"_*.deb | tar -C kernel -x --wildcards './boot/vmlinuz-*'
mv kernel/boot/vmlinuz-* /usr/lib/stakeyard-lab/vmlinuz
rm -rf kernel "$kernel"_*.deb

apt-get clean
rm -rf /var/lib/apt/lists/* /root/preseed.txt /usr/sbin/policy-rc.d /root/install.sh
