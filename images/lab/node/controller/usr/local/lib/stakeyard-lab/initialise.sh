#!/bin/bash
# Once, in the booted controller: databases, message queue, Keystone, and all schemas side by side. The
# passwords come on standard input, as `export NAME=value` lines. May run again.
# usage: initialise.sh KEYSTONE_URL REGION
set -euo pipefail
url=$1
region=$2
# shellcheck source=/dev/null
. /dev/stdin
: "${DATABASE_PASSWORD:?}" "${RABBIT_PASSWORD:?}" "${ADMIN_PASSWORD:?}"
logs=/var/log/stakeyard-lab
mkdir -p "$logs" /run/stakeyard-lab

as() {
  local user=$1
  shift
  setpriv --reuid "$user" --regid "$user" --init-groups env HOME=/var/lib/"$user" "$@"
}

systemctl start mariadb rabbitmq-server memcached
for entry in keystone:keystone glance:glance placement:placement nova:nova nova:nova_api nova:nova_cell0 \
  neutron:neutron cinder:cinder; do
  for host in localhost 127.0.0.1; do
    printf 'CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8;\n' "${entry##*:}"
    printf "GRANT ALL ON %s.* TO '%s'@'%s' IDENTIFIED BY '%s';\n" \
      "${entry##*:}" "${entry%%:*}" "$host" "$DATABASE_PASSWORD"
  done
done | mysql
rabbitmqctl -q list_users | grep -q ^openstack || rabbitmqctl -q add_user openstack <<< "$RABBIT_PASSWORD"
rabbitmqctl -q set_permissions openstack '.*' '.*' '.*'

keystone() {
  as keystone keystone-manage db_sync
  keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone
  keystone-manage credential_setup --keystone-user keystone --keystone-group keystone
  OS_BOOTSTRAP_PASSWORD=$ADMIN_PASSWORD keystone-manage bootstrap --bootstrap-region-id "$region" \
    --bootstrap-admin-url "$url" --bootstrap-internal-url "$url" --bootstrap-public-url "$url"
  touch /run/stakeyard-lab/keystone
  systemctl restart keystone
}
neutron() {
  as neutron neutron-db-manage --config-file /etc/neutron/neutron.conf \
    --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade heads
  as placement placement-manage db sync
}
nova() {
  as nova nova-manage api_db sync
  as nova nova-manage cell_v2 map_cell0
  as nova nova-manage cell_v2 list_cells | grep -q ' cell1 ' || as nova nova-manage cell_v2 create_cell --name=cell1
  as nova nova-manage db sync
}
others() {
  as glance glance-manage db_sync
  as cinder cinder-manage db sync
}

# A function in an `||` list loses `set -e`: each part runs in a shell of its own.
declare -A running
for part in keystone neutron nova others; do
  ( set -e; "$part" ) > "$logs/$part.log" 2>&1 &
  running[$part]=$!
done
failed=0
for part in "${!running[@]}"; do
  if ! wait "${running[$part]}"; then
    failed=1
    echo "initialising $part failed:"
    tail -n 15 "$logs/$part.log"
  fi
done
[ "$failed" = 0 ] || exit 1
