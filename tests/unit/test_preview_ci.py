"""The steps of the CI files, run as a runner runs them, and what the files promise of themselves."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.paths import REPOSITORY

SCRIPTS = REPOSITORY / "stacks/preview/ci"
WORKFLOWS = sorted((REPOSITORY / "docs/ci/github").glob("*.yml"))
GITLAB = REPOSITORY / "docs/ci/gitlab/.gitlab-ci.yml"

# Stands for `stakeyard`: notes what it was told, writes a report where a test gives one, ends as a test says.
STAND_IN = """#!/bin/sh
echo "$*" >"$NOTES/arguments"
env >"$NOTES/environment"
cp "$OS_CLIENT_CONFIG_FILE" "$NOTES/clouds" 2>/dev/null
cp "$STAKEYARD_SSH_KEY_FILE" "$NOTES/key" 2>/dev/null
for out; do :; done
[ "$STATUS" = 1 ] || echo "**verdict**" >"$out/preview.md"
exit "$STATUS"
"""


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "made"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path.read_text()


class Runner:
    """A CI runner with a stand-in for `stakeyard`."""

    def __init__(self, directory: Path) -> None:
        self.notes, self.out = directory / "notes", directory / "out"
        self.notes.mkdir()
        program = directory / "stakeyard"
        program.write_text(STAND_IN)
        program.chmod(0o755)
        self.key_file = directory / "home" / "keys" / "operator"
        self.summary = directory / "summary"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory / "home"),
            "NOTES": str(self.notes),
            "STAKEYARD": str(program),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }

    def run(
        self, script: str, *arguments: str, env: dict[str, str] | None = None, status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        command = [str(SCRIPTS / script), *arguments]
        given = {**self.env, "STATUS": str(status), **(env or {})}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=60)

    def preview(
        self, mode: str, env: dict[str, str] | None = None, status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        return self.run("preview.sh", mode, "lab", "main", str(self.out), env=env, status=status)

    def told(self, name: str) -> str:
        path = self.notes / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.mark.parametrize(
    ("status", "ends", "says"),
    [
        (0, 0, "nothing that somebody must look at"),
        (2, 0, "somebody has to look at it"),
        (3, 1, "refused by a policy (status 3)"),
        (1, 1, "there is no preview (status 1)"),
    ],
)
def test_a_preview_ends_well_unless_it_is_refused_or_fails(runner: Runner, status: int, ends: int, says: str) -> None:
    answer = runner.preview("mocked", status=status)
    assert answer.returncode == ends
    assert says in answer.stdout + answer.stderr
    assert runner.told("arguments") == f"preview --stack lab --base main --mocked --out {runner.out}\n"
    assert (runner.out / "status").read_text() == f"{status}\n"
    assert runner.summary.exists() is (status != 1)


def test_credentials_reach_the_command_as_files_and_are_gone_afterwards(runner: Runner, key: str) -> None:
    given = {
        "STAKEYARD_CLOUDS_YAML": "clouds: {x: {auth: {password: hunter22}}}",
        "STAKEYARD_SSH_KEY": key.strip(),
        "STAKEYARD_SSH_KEY_FILE": str(runner.key_file),
    }
    answer = runner.preview("asked", given)
    assert answer.returncode == 0, answer.stderr
    assert "--asked" in runner.told("arguments")
    assert "hunter22" in runner.told("clouds")
    assert runner.told("key") == key
    # Neither of them in the environment or the arguments that the command's own children would have.
    assert "hunter22" not in runner.told("environment") + runner.told("arguments") + answer.stdout + answer.stderr
    assert "PRIVATE KEY" not in runner.told("environment")
    assert list(runner.key_file.parent.iterdir()) == []
    place = re.search(r"OS_CLIENT_CONFIG_FILE=(\S+)", runner.told("environment"))
    assert place is not None
    assert place[1].startswith("/dev/shm/")
    assert not Path(place[1]).parent.exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "STAKEYARD_CLOUDS_YAML is empty"),
        ({"STAKEYARD_CLOUDS_YAML": "a", "STAKEYARD_SSH_KEY": "b"}, "STAKEYARD_SSH_KEY_FILE is empty"),
        (
            {"STAKEYARD_CLOUDS_YAML": "a", "STAKEYARD_SSH_KEY": "b", "STAKEYARD_SSH_KEY_FILE": "~/keys/new"},
            "STAKEYARD_SSH_KEY is not a private key",
        ),
        (
            {"STAKEYARD_CLOUDS_YAML": "a", "STAKEYARD_SSH_KEY": "b", "STAKEYARD_SSH_KEY_FILE": "~/keys/there"},
            "is there already",
        ),
    ],
)
def test_credentials_that_do_not_do_are_refused_and_leave_nothing(
    runner: Runner, given: dict[str, str], says: str
) -> None:
    there = runner.key_file.with_name("there")
    there.parent.mkdir(parents=True)
    there.write_text("somebody's own")
    answer = runner.preview("asked", given)
    assert answer.returncode == 1
    assert says in answer.stderr
    assert runner.told("arguments") == ""
    assert [path.name for path in there.parent.iterdir()] == ["there"]
    assert there.read_text() == "somebody's own"


@pytest.mark.parametrize("name", ["STAKEYARD_CLOUDS_YAML", "PULUMI_CONFIG_PASSPHRASE", "AWS_SECRET_ACCESS_KEY"])
def test_a_preview_for_a_stranger_refuses_to_have_credentials(runner: Runner, name: str) -> None:
    answer = runner.preview("mocked", {name: "hunter22"})
    assert answer.returncode == 1
    assert f"{name} is set, but a mocked preview gets no credentials" in answer.stderr
    assert "hunter22" not in answer.stderr
    assert runner.told("arguments") == ""


@pytest.mark.parametrize("status", [0, 1, 2])
def test_drift_ends_with_the_commands_own_status(runner: Runner, status: int) -> None:
    given = {"STAKEYARD_CLOUDS_YAML": "clouds: {}"}
    answer = runner.run("drift.sh", "lab", str(runner.out), env=given, status=status)
    assert answer.returncode == status
    assert runner.told("arguments") == f"drift --stack lab --out {runner.out}\n"


def test_a_mode_that_does_not_exist_is_refused(runner: Runner) -> None:
    assert "it must be asked or mocked" in runner.preview("real").stderr


# What the files promise. actionlint (in `make lint`) looks at everything else.


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.name}: {name}", job)
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text())["jobs"].items()
    ]


def secrets_of(job: dict[str, Any]) -> bool:
    return "secrets." in yaml.safe_dump(job)


def test_there_are_workflows_for_previews_and_drift() -> None:
    assert [path.name for path in WORKFLOWS] == ["drift.yml", "preview.yml"]
    assert len(jobs()) == 5


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_a_whole_digest_with_its_version_beside_it(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_workflow_has_rights_and_none_runs_a_strangers_code_with_the_bases(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    # `on` is YAML's word for true. pull_request_target would give a fork's code this repository's secrets.
    assert set(workflow[True]) <= {"pull_request", "schedule", "workflow_dispatch"}


@pytest.mark.parametrize(("name", "job"), jobs(), ids=[name for name, _job in jobs()])
def test_a_job_has_credentials_or_the_right_to_write_but_never_both(name: str, job: dict[str, Any]) -> None:
    writes = {key for key, value in job["permissions"].items() if value == "write"}
    assert writes == ({"pull-requests", "security-events"} if name.endswith("publish") else set())
    assert not (writes and secrets_of(job))
    # Credentials stand behind an environment, and are never there for a fork.
    assert secrets_of(job) == ("environment" in job)
    if secrets_of(job) and name.startswith("preview"):
        assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"


@pytest.mark.parametrize(("name", "job"), jobs(), ids=[name for name, _job in jobs()])
def test_no_step_puts_an_expression_into_a_shell_or_keeps_the_token(name: str, job: dict[str, Any]) -> None:
    for step in job["steps"]:
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", ["mocked", "asked"])
def test_what_is_previewed_is_the_trial_merge_against_the_base_that_it_is_merged_into(name: str) -> None:
    steps = dict(jobs())[f"preview.yml: {name}"]["steps"]
    (checkout,) = (step["with"] for step in steps if step.get("uses", "").startswith("actions/checkout@"))
    assert (checkout["ref"], checkout["fetch-depth"]) == ("${{ github.sha }}", 2)
    assert [step["run"] for step in steps if "preview.sh" in step.get("run", "")] == [
        f'stacks/preview/ci/preview.sh {name} "$STACK" HEAD^1 "$RUNNER_TEMP/report"'
    ]


@pytest.mark.parametrize(
    ("mocked", "asked", "good"),
    [
        ("skipped", "success", True),
        ("success", "skipped", True),
        ("skipped", "failure", False),
        ("failure", "skipped", False),
        ("cancelled", "skipped", False),
        ("skipped", "skipped", False),
    ],
)
def test_one_check_stands_for_the_previews_of_all_stacks(mocked: str, asked: str, *, good: bool) -> None:
    verdict = dict(jobs())["preview.yml: verdict"]
    assert (verdict["needs"], verdict["if"], verdict.get("strategy")) == (["mocked", "asked"], "always()", None)
    (step,) = verdict["steps"]
    results = step["env"]["RESULTS"]
    for name, result in (("mocked", mocked), ("asked", asked)):
        results = results.replace(f"${{{{ needs.{name}.result }}}}", result)
    done = subprocess.run(["bash", "-ec", step["run"]], env={"RESULTS": results}, check=False, capture_output=True)
    assert (done.returncode == 0) is good


def test_the_job_that_writes_runs_the_bases_script() -> None:
    publish = dict(jobs())["preview.yml: publish"]
    assert publish["steps"][0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"


def test_gitlab_gives_forks_the_mocked_preview_and_nothing_else() -> None:
    pipeline = yaml.safe_load(GITLAB.read_text())
    assert re.fullmatch(r"[\w:.-]+@sha256:[0-9a-f]{64}", pipeline["default"]["image"])
    for name in ("mocked preview", "preview", "comment"):
        fork = "!=" if name == "mocked preview" else "=="
        same = f"$CI_MERGE_REQUEST_SOURCE_PROJECT_ID {fork} $CI_MERGE_REQUEST_PROJECT_ID"
        assert [rule["if"] for rule in pipeline[name]["rules"]] == [
            f'$CI_PIPELINE_SOURCE == "merge_request_event" && {same}'
        ]
    assert "environment" not in pipeline["mocked preview"]
    assert all("environment" in pipeline[name] for name in ("preview", "comment", "drift"))


def test_every_script_that_the_files_name_is_there_and_runs() -> None:
    named = {
        word
        for path in (*WORKFLOWS, GITLAB)
        for word in re.findall(r"(?<![:\w])stacks/preview/ci/[\w.]+", path.read_text())
    }
    assert named == {f"stacks/preview/ci/{name}" for name in ("setup.sh", "preview.sh", "drift.sh", "publish.py")}
    assert all(os.access(REPOSITORY / name, os.X_OK) for name in named)
