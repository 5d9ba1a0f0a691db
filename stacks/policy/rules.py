"""The table of policies: one row a rule, judged on every level from here alone. docs/policies.md is made of it."""

from stacks.policy import administration, diversity, encrypted, forks, kept, pins, placeholders, regions, signers
from stacks.policy.model import Rule

RULES = (
    Rule(
        "open-administration",
        "error",
        "SSH, or a port that the kind's node.yml does not open to the internet, open to the world; a port without "
        "security groups.",
        "Open it to the operators' ranges, the site or named nodes.",
        fleet=administration.on_fleet,
        resource=administration.on_resource,
    ),
    Rule(
        "encrypted-volumes",
        "error",
        "A volume that is not encrypted, outside throw-away stacks: by its metadata on Open Telekom Cloud, elsewhere "
        "by a type that `policy.encrypted_types` names.",
        "Encrypt it before it is made: metadata, or an encrypted type.",
        fleet=encrypted.on_fleet,
        resource=encrypted.on_resource,
    ),
    Rule(
        "protected",
        "error",
        "An address or a volume without Pulumi's protection, outside throw-away stacks.",
        "Let the program of this repository declare it, or `stakeyard pulumi state protect` it.",
        resource=kept.unprotected,
    ),
    Rule(
        "lost-address-or-keys",
        "error",
        "An update that deletes or replaces a floating address, a port or a key volume, outside throw-away stacks.",
        "Keep the node's name, address, zone and volume; retire keys first.",
        resource=kept.lost,
        of_changes=True,
    ),
    Rule(
        "one-signer",
        "error",
        "A key that two nodes have, of whatever kinds, or one node twice.",
        "Keep it in one place.",
        fleet=signers.on_fleet,
        resources=signers.on_resources,
    ),
    Rule(
        "zone-share",
        "error",
        "More of a set of signers in one zone than `policy.max_share_per_zone`, on more than one node.",
        "Move nodes to another zone, or raise the limit.",
        fleet=diversity.zones,
    ),
    Rule(
        "zone-crowd",
        "warning",
        "More than two thirds of a set of signers in one zone, where the stack file sets no limit; not in throw-away "
        "stacks.",
        "Move nodes, or set `policy.max_share_per_zone`.",
        fleet=diversity.crowded_zones,
    ),
    Rule(
        "client-share",
        "error",
        "More of a set of signers dependent on one client than `policy.max_share_per_client`: its own, or one that all "
        "the nodes it uses run; on more than one node.",
        "Let nodes use another client, or raise the limit.",
        fleet=diversity.clients,
    ),
    Rule(
        "client-crowd",
        "warning",
        "More than two thirds of a set of signers dependent on one client, where the stack file sets no limit; not in "
        "throw-away stacks.",
        "Let nodes use another client, or set `policy.max_share_per_client`.",
        fleet=diversity.crowded_clients,
    ),
    Rule(
        "pinned-images",
        "error",
        "An image that may become another under its name: an existing one without a pin, a server with one by name.",
        "Pin it: `recorded`, or its id.",
        fleet=pins.images,
        resource=pins.image_of,
    ),
    Rule(
        "pinned-releases",
        "error",
        "A release that artifacts.yml does not know, without digest or pinned source, or from an address that moves.",
        "Choose a release of artifacts.yml, or add it there with its digest.",
        fleet=pins.releases,
    ),
    Rule(
        "lab-releases",
        "error",
        "A release for labs and tests (`lab_only`) on a network with strangers.",
        "Choose a published release.",
        fleet=pins.lab_releases,
    ),
    Rule(
        "client-minimum",
        "error",
        "A client older than the oldest that knows its network's forks: those that have begun, or begin within "
        "`policy.fork_notice_days`, and are certain.",
        "Choose a newer release.",
        fleet=forks.too_old,
    ),
    Rule(
        "client-next-fork",
        "warning",
        "A client older than what is known of a fork that is far off, has no date, or whose versions are not certain.",
        "Read the client's release notes, and plan the upgrade.",
        fleet=forks.behind,
    ),
    Rule(
        "regions",
        "error",
        "A node, server or volume in a zone outside `policy.regions`, where the stack file names regions.",
        "Choose a zone of one of them.",
        fleet=regions.on_fleet,
        resource=regions.on_resource,
    ),
    Rule(
        "placeholder",
        "warning",
        "On Open Telekom Cloud, what only an example can have: operators' addresses of documentation, a KMS key of "
        "zeros or one that is no id.",
        "Write your own.",
        fleet=placeholders.on_fleet,
    ),
    Rule(
        "expired-waiver",
        "warning",
        "A waiver whose last day is over: what it covered counts again.",
        "Settle what it covers and remove it, or give it a new day and reason.",
        waivable=False,
    ),
    Rule(
        "unused-waiver",
        "warning",
        "A waiver that nothing needs.",
        "Remove it, or correct its key or node.",
        waivable=False,
    ),
)
BY_ID = {rule.id: rule for rule in RULES}
