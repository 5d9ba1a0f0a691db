"""What a chain shows of keys: the highest they signed, how long they are silent, and when they sign again."""

import json

import pytest
import yaml

from roles.ethereum_validator import signer
from roles.ethereum_validator.module_utils.stakeyard_ethereum import remote
from roles.ethereum_validator.module_utils.stakeyard_ethereum.interchange import fingerprint
from stacks.catalogue import load_catalogue
from stacks.paths import REPOSITORY
from tests.unit.ethereum_beacon import GENESIS, ROOT, SECONDS, SLOTS, VALIDATORS, FakeBeacon, key_of, served

NOW = GENESIS + 41 * SECONDS
"""The end of slot 40, the head of the made-up chain, and the start of 41."""


@pytest.fixture
def node() -> FakeBeacon:
    """A chain on which, of the keys asked for, only 3 (votes, last in epoch 6) and 7 (a block at slot 22) signed."""
    made = FakeBeacon()
    for epoch in (4, 6):
        slot = next(s for s in range(epoch * SLOTS, epoch * SLOTS + 4) for i in (0, 1) if 3 in made.committee(s, i))
        made.block(slot + 1, 9, [made.attestation([3], made.data(slot, source=epoch - 1))])
    made.block(22, 7)
    made.block(made.head, 9)
    return made


def voted(node: FakeBeacon) -> int:
    """The slot of validator 3's last vote."""
    return next(slot for slot in range(24, 28) for index in (0, 1) if 3 in node.committee(slot, index))


def test_the_highest_of_each_key_is_seen(node: FakeBeacon) -> None:
    with served(node) as url:
        record = signer.record([url], [key_of(3), key_of(7), key_of(8)], 0, NOW)
    assert record.synced
    assert record.genesis_validators_root == ROOT
    assert record.seen == {fingerprint(key_of(3)): {"source": 5, "target": 6}, fingerprint(key_of(7)): {"slot": 22}}


def test_silence_is_counted_until_the_head_and_not_until_now(node: FakeBeacon) -> None:
    """A node that hears nothing of the network must not make anybody silent."""
    with served(node) as url:
        record = signer.record([url], [key_of(3)], 0, NOW)
        later = signer.record([url], [key_of(3)], 0, NOW + 3 * SECONDS)
        node.head = 44
        further = signer.record([url], [key_of(3)], 0, NOW + 3 * SECONDS)
    for same in (record, later):
        assert same.quiet_epochs == 10 - 6
        assert same.quiet_seconds == (40 - voted(node)) * SECONDS
    # When that was does not depend on how far the head is: else an old message would look like a new one.
    assert record.last == later.last == further.last == GENESIS + voted(node) * SECONDS
    assert further.quiet_epochs == 11 - 6
    assert further.quiet_seconds == (44 - voted(node)) * SECONDS


def test_keys_that_were_never_seen_have_no_silence(node: FakeBeacon) -> None:
    with served(node) as url:
        record = signer.record([url], [key_of(8), key_of(99)], 0, NOW)
        recent = signer.record([url], [key_of(3)], -3, NOW)
    assert (record.seen, record.quiet_epochs, record.quiet_seconds, record.last) == ({}, None, None, None)
    assert (recent.seen, recent.quiet_epochs, recent.since) == ({}, None, 7)


def test_the_present_has_a_margin_and_its_source_is_what_the_chain_justified(node: FakeBeacon) -> None:
    with served(node) as url:
        record = signer.record([url], [key_of(3)], 0, NOW)
        ahead = signer.record([url], [key_of(3)], 0, NOW + 3 * SECONDS)
    assert record.present == {"source": 8, "target": 11, "slot": 45}
    assert ahead.present == {"source": 8, "target": 44 // SLOTS + 1, "slot": 44 + SLOTS}


@pytest.mark.parametrize("seconds", [5 * SECONDS, 3600, -6 * SECONDS])
def test_clocks_that_differ_are_refused(node: FakeBeacon, seconds: int) -> None:
    with served(node) as url, pytest.raises(signer.BeaconError, match="differ by more than an epoch"):
        signer.record([url], [key_of(3)], 0, NOW + seconds)


def test_a_node_without_the_blocks_of_that_time_is_no_proof_of_silence(node: FakeBeacon) -> None:
    """It began at a checkpoint: where it has no block, another signer may have been at work."""
    young = FakeBeacon(before=False, blocks={slot: made for slot, made in node.blocks.items() if slot > 20})
    with served(node) as url, served(young) as other:
        with pytest.raises(signer.BeaconError, match="has no blocks before slot 22, so it cannot say who was silent"):
            signer.record([other], [key_of(3)], 0, NOW)
        assert signer.record([other, url], [key_of(3)], 0, NOW).seen == signer.record([url], [key_of(3)], 0, NOW).seen


LOST = {
    "the validators at its head": (VALIDATORS, "lists no validators at its head"),
    "every block": ("/eth/v1/beacon/headers", "shows no block of slots 1 to 40 although its head is at slot 40"),
}


@pytest.mark.parametrize("lost", LOST)
def test_a_node_that_lost_what_it_is_asked_for_is_no_proof_of_silence(node: FakeBeacon, lost: str) -> None:
    """Its 404 must not be taken for keys that the chain does not know, or for slots without a block."""
    path, sentence = LOST[lost]
    broken = FakeBeacon(blocks=node.blocks, broken={path: 404})
    with served(node) as url, served(broken) as other:
        with pytest.raises(signer.BeaconError, match=sentence):
            signer.record([other], [key_of(3)], 0, NOW)
        assert signer.record([other, url], [key_of(3)], 0, NOW).quiet_epochs == 4


@pytest.mark.parametrize("answer", [{"3": {}}, 7, [7], [{"index": "x", "validator": {"pubkey": "0x"}}]])
def test_validators_that_cannot_be_understood_are_an_error(node: FakeBeacon, answer: object) -> None:
    node.pools[VALIDATORS] = answer  # type: ignore[assignment]
    with served(node) as url, pytest.raises(signer.BeaconError, match=r"lists no validators|gave no Beacon API answer"):
        signer.record([url], [key_of(3)], 0, NOW)


@pytest.mark.parametrize("since", [0, -3])
def test_slots_without_a_block_after_genesis_are_silence(since: int) -> None:
    """A new network whose first validators came late."""
    late = FakeBeacon()
    late.block(39, 9)
    late.block(late.head, 9)
    with served(late) as url:
        record = signer.record([url], [key_of(3)], since, NOW)
    assert (record.synced, record.seen, record.quiet_epochs) == (True, {}, None)


@pytest.mark.parametrize(("since", "reach"), [(0, {}), (4, {"target": 3}), (-3, {"target": 6})])
def test_it_says_which_histories_it_can_judge(node: FakeBeacon, since: int, reach: dict[str, int]) -> None:
    with served(node) as url:
        assert signer.record([url], [key_of(3)], since, NOW).reach == reach


def test_a_message_in_the_pool_breaks_the_silence(node: FakeBeacon) -> None:
    slot = next(slot for slot in range(40, 44) for index in (0, 1) if 3 in node.committee(slot, index))
    node.pools["/eth/v2/beacon/pool/attestations"] = [node.attestation([3], node.data(slot, source=8))]
    with served(node) as url:
        record = signer.record([url], [key_of(3)], 0, NOW)
    assert record.seen[fingerprint(key_of(3))] == {"source": 8, "target": 10}
    assert record.quiet_epochs == 0


def test_a_vote_in_an_orphaned_block_counts(node: FakeBeacon) -> None:
    slot = next(slot for slot in range(32, 36) for index in (0, 1) if 3 in node.committee(slot, index))
    node.block(36, 1, [node.attestation([3], node.data(slot, source=7))], canonical=False)
    with served(node) as url:
        record = signer.record([url], [key_of(3)], 0, NOW)
    assert record.seen[fingerprint(key_of(3))] == {"source": 7, "target": 8}


def test_a_vote_on_another_branch_is_the_one_of_its_own_committees(node: FakeBeacon) -> None:
    slot = next(slot for slot in range(32, 36) for index in (0, 1) if 3 in node.committee(slot, index))
    node.block(36, 1, [node.attestation([3], node.data(slot, source=7))], canonical=False)
    (state,) = node.branches
    node.branches[state] = 5
    with served(node) as url:
        record = signer.record([url], [key_of(3), key_of(8)], 0, NOW)
        del node.branches[state]
        unread = signer.record([url], [key_of(3), key_of(8)], 0, NOW)
    assert record.seen[fingerprint(key_of(8))] == {"source": 7, "target": 8}
    assert record.seen[fingerprint(key_of(3))] == {"source": 5, "target": 6}
    assert fingerprint(key_of(8)) not in unread.seen


BEHIND = [{"is_syncing": True}, {"is_optimistic": True}, {"el_offline": True}, {"sync_distance": str(SLOTS)}]


@pytest.mark.parametrize("state", BEHIND)
def test_a_node_that_does_not_follow_the_head_shows_nothing(node: FakeBeacon, state: dict[str, object]) -> None:
    node.syncing = state
    with served(node) as url:
        record = signer.record([url], [key_of(3)], 0, NOW)
        assert (record.synced, record.seen, record.present) == (False, {}, {})
        with pytest.raises(signer.BeaconError, match="no beacon node that follows the head"):
            signer.first_duty([url], [key_of(3)], 0)


def test_a_new_network_waits_at_its_genesis_for_its_first_validators() -> None:
    waiting = FakeBeacon(head=0, justified=0, syncing={"sync_distance": "41"})
    with served(waiting) as url:
        record = signer.record([url], [key_of(3)], -12, NOW)
        assert (record.synced, record.seen, record.quiet_epochs) == (True, {}, None)
        assert record.present == {"source": 0, "target": 11, "slot": 45}
        waiting.syncing["is_syncing"] = True
        assert not signer.record([url], [key_of(3)], -12, NOW).synced


@pytest.mark.parametrize("state", BEHIND)
def test_it_is_left_out_where_another_follows(node: FakeBeacon, state: dict[str, object]) -> None:
    with served(FakeBeacon(syncing=state)) as behind, served(node) as url:
        for endpoints in ([behind, url], [url, behind], ["http://127.0.0.1:9", url]):
            record = signer.record(endpoints, [key_of(3)], 0, NOW)
            assert record.synced
            assert record.seen[fingerprint(key_of(3))]["target"] == 6


def test_of_several_nodes_the_highest_marks_and_the_shortest_silence_count(node: FakeBeacon) -> None:
    more = FakeBeacon(head=39, justified=9)
    more.block(30, 7)
    with served(node) as one, served(more) as two:
        record = signer.record([one, two], [key_of(3), key_of(7)], 0, NOW)
    assert record.seen[fingerprint(key_of(7))] == {"slot": 30}
    assert record.seen[fingerprint(key_of(3))]["target"] == 6
    assert record.present == {"source": 9, "target": 11, "slot": 45}
    assert record.quiet_epochs == 9 - 7


def test_nodes_of_two_chains_are_refused(node: FakeBeacon) -> None:
    other = FakeBeacon(root="0x" + "cd" * 32, blocks=node.blocks)
    with served(node) as one, served(other) as two, pytest.raises(signer.BeaconError, match="different chains"):
        signer.record([one, two], [key_of(3)], 0, NOW)


def test_no_node_at_all_is_refused() -> None:
    with pytest.raises(signer.BeaconError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        signer.record(["http://127.0.0.1:9"], [key_of(3)], 0, NOW)
    with pytest.raises(signer.BeaconError, match="no beacon node is named"):
        signer.record([], [key_of(3)], 0, NOW)


def test_the_first_duty_after_an_epoch_is_found(node: FakeBeacon) -> None:
    with served(node) as url:
        found = signer.first_duty([url], [key_of(3), key_of(7)], 5)
        assert found == {fingerprint(key_of(3)): voted(node)}
        earlier = signer.first_duty([url], [key_of(3)], 2)[fingerprint(key_of(3))]
        assert 16 <= earlier < 20
        assert signer.first_duty([url], [key_of(3)], 6) == {}


def test_the_beacon_nodes_are_asked_on_the_port_that_the_kinds_declare() -> None:
    validator, beacon = (
        yaml.safe_load((REPOSITORY / f"roles/{kind}/node.yml").read_text())
        for kind in ("ethereum_validator", "ethereum_beacon")
    )
    assert beacon["ports"]["beacon-api"]["port"] == signer.BEACON_PORT
    assert beacon["ports"]["beacon-api"]["reach"] == "users"
    assert validator["egress"]["validator-beacon-api"]["port"] == signer.BEACON_PORT
    url = f"http://10.0.0.5:{signer.BEACON_PORT}"
    assert signer.question([{"name": "b", "address": "10.0.0.5"}], [f"0x{key_of(3)}"]) == [
        "record",
        f"--epoch=-{signer.EPOCHS_BACK}",
        f"--beacon={url}",
        f"--key={key_of(3)}",
    ]


def test_the_chain_is_asked_further_back_than_any_silence() -> None:
    """Else keys that signed within it would count as silent."""
    rule = load_catalogue().kind("ethereum_validator").signer
    assert rule is not None
    assert isinstance(rule.silence_epochs, int)
    assert isinstance(rule.silence_seconds, dict)
    assert rule.silence_epochs < signer.EPOCHS_BACK
    for network, seconds in rule.silence_seconds.items():
        assert seconds < signer.EPOCHS_BACK * (72 if network == "devnet" else 384)


@pytest.mark.parametrize("prefix", ["", "0x"])
@pytest.mark.parametrize("question", ["record", "survey"])
def test_a_key_may_be_asked_for_as_a_stack_file_writes_it(
    node: FakeBeacon, question: str, prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("time.time", lambda: float(NOW))
    with served(node) as url:
        arguments = ["remote", question, f"--beacon={url}", f"--key={prefix}{key_of(3)}", "--epoch=0"]
        monkeypatch.setattr("sys.argv", arguments)
        assert remote.main() == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["quiet_seconds" if question == "record" else "voted"]
    assert question == "survey" or shown["chain"] == ROOT


def test_a_key_that_is_none_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["remote", "record", "--beacon=http://127.0.0.1:1", "--key=0xabcd", "--epoch=0"])
    assert remote.main() == 1
    assert "0xabcd" in capsys.readouterr().err
