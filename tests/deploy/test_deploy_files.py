"""What is shipped to run Tocsin with: users, capabilities, secrets and probes are as the docs say."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pod():
    documents = yaml.safe_load_all((DEPLOY / "kubernetes" / "tocsin.yaml").read_text(encoding="utf-8"))
    [found] = [each for each in documents if each["kind"] == "StatefulSet"]
    return found["spec"]


def test_the_image_runs_as_a_number_that_is_not_root_and_from_the_locked_packages():
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert "--require-hashes" in text
    assert all(
        re.fullmatch(r"FROM \S+:\d+\.\d+\.\d+\S*( AS \w+)?", line)
        for line in re.findall(r"^FROM.*$", text, re.MULTILINE)
    )


def test_everything_that_the_image_copies_is_there():
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    sources = [
        part
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for part in line.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert list(DEPLOY.parent.glob(source)), source


def test_no_secret_stands_in_the_compose_file(compose):
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"xox[a-z]-\w|PASSWORD: ", text)
    assert set(compose["secrets"]) == {"slack_bot_token", "postgres_password"}
    assert "deploy/secrets" in (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8")
    assert "deploy/secrets" in (DEPLOY.parent / ".gitignore").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["prefect", "deploy", "worker", "serve"])
def test_our_containers_cannot_write_to_themselves_or_gain_rights(compose, name):
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_the_worker_waits_for_the_deployments_and_takes_turns_with_nobody(compose):
    services = compose["services"]
    assert services["worker"]["depends_on"] == {"deploy": {"condition": "service_completed_successfully"}}
    holders = [name for name, each in services.items() if "data:/data" in each.get("volumes", ())]
    assert [name for name in holders if "profiles" not in services[name]] == ["worker"]
    assert "deploy/prefect.yaml" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_prefects_port_is_open_to_this_machine_alone(compose):
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["prefect"]["ports"])


def test_the_pod_is_one_writer_without_rights(pod):
    assert pod["replicas"] == 1
    spec = pod["template"]["spec"]
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False


def test_every_command_that_is_started_or_probed_exists(pod):
    from tocsin.cli import _COMMANDS

    [container] = pod["template"]["spec"]["containers"]
    probe = container["livenessProbe"]["exec"]["command"]
    used = {probe[3], container["args"][0]}
    for unit in (DEPLOY / "systemd").glob("*.service"):
        used |= set(re.findall(r"-m tocsin (\w+)", unit.read_text(encoding="utf-8")))
    assert used <= set(_COMMANDS)


def _unit(name):
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / "systemd" / name, encoding="utf-8")
    return parser


UNITS = sorted(unit.name for unit in (DEPLOY / "systemd").glob("*.service"))


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_writes_to_its_own_folder_alone(name):
    service = _unit(name)["Service"]
    assert (service["ProtectSystem"], service["ProtectHome"], service["StateDirectory"]) == (
        "strict",
        "yes",
        "tocsin",
    )
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_rates_a_unit_as_little_exposed(name):
    unit = DEPLOY / "systemd" / name
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze does not rate files: {done.stderr.strip()[:200]}")
    assert float(found[1]) < 2.0
