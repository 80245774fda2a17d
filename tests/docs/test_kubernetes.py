"""The manifest of docs/how-to/kubernetes.md is one: it parses, its parts fit together, and no pod lacks the token."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundrylocal.engine.ray.node.environment import ray_environment
from foundrylocal.engine.ray.node.installed import SUPPORTED
from foundrylocal.settings.schema import Settings
from tests.docs.blocks import Block, marked
from tests.package.containerfile import instructions_of
from tests.running import REPOSITORY

PAGE = REPOSITORY / "docs" / "how-to" / "kubernetes.md"
# Only on this machine, and printed instead of done.
_DRY_RUN = 'kubectl() { command kubectl --server=http://127.0.0.1:9 "$@" --dry-run=client --output=yaml; }\n'


def block(mark: str) -> Block:
    (found,) = (
        block
        for blocks in (marked("manifest"), marked("kubectl"))
        for block in blocks[PAGE]
        if block.mark == mark
    )
    return found


@pytest.fixture(scope="module")
def manifest() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(block("yaml manifest").text))


@pytest.fixture(scope="module")
def pods(manifest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The head's pod first, then those of the worker groups."""
    spec = one(manifest, "RayCluster")["spec"]
    return [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]


def one(manifest: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (document for document in manifest if document["kind"] == kind)
    return found


def containers(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [container for pod in pods for container in pod["spec"]["containers"]]


def values(container: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_every_container_runs_the_same_image_and_has_the_token_from_a_secret(
    pods: list[dict[str, Any]],
) -> None:
    assert len({container["image"] for container in containers(pods)}) == 1
    for container in containers(pods):
        (token,) = (variable for variable in container["env"] if variable["name"] == "RAY_AUTH_TOKEN")
        assert token["valueFrom"]["secretKeyRef"] == {"name": "foundrylocal", "key": "cluster-token"}
        assert values(container)["RAY_AUTH_MODE"] == "token"


def test_the_nodes_have_the_environment_of_the_command_line(pods: list[dict[str, Any]]) -> None:
    wanted = {
        name: value
        for name, value in ray_environment(None, {}).items()
        if name.startswith("RAY_") and name not in ("RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED")
    }
    for container in containers(pods):
        if container["name"].startswith("ray-"):
            assert wanted.items() <= values(container).items()


def test_the_service_has_settings_that_exist(pods: list[dict[str, Any]]) -> None:
    (service,) = (container for container in containers(pods) if container["name"] == "foundrylocal")
    ours = {name for name in values(service) if name.startswith("FOUNDRYLOCAL_")} - {"FOUNDRYLOCAL_HOME"}
    assert {name.removeprefix("FOUNDRYLOCAL_").lower() for name in ours} <= Settings.model_fields.keys()
    assert "FOUNDRYLOCAL_MANAGEMENT_KEY" in ours
    ports = {port["containerPort"] for port in service["ports"]}
    assert ports == {Settings.model_fields["port"].default, Settings.model_fields["api_port"].default}


def test_volumes_and_labels_refer_to_what_is_there(
    manifest: list[dict[str, Any]], pods: list[dict[str, Any]]
) -> None:
    for pod in pods:
        mounted = {
            mount["name"] for one in pod["spec"]["containers"] for mount in one.get("volumeMounts", ())
        }
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert one(manifest, "Service")["spec"]["selector"] == pods[0]["metadata"]["labels"]
    cluster = one(manifest, "RayCluster")
    assert cluster["spec"]["rayVersion"].startswith(f"{SUPPORTED}.")
    policies = [document["spec"] for document in manifest if document["kind"] == "NetworkPolicy"]
    selected = {policy["podSelector"]["matchLabels"]["ray.io/node-type"] for policy in policies}
    assert selected == {"head", "worker"}
    for policy in policies:
        assert policy["podSelector"]["matchLabels"]["ray.io/cluster"] == cluster["metadata"]["name"]


@pytest.mark.skipif(
    not all(map(shutil.which, ("kubectl", "openssl"))), reason="kubectl or openssl is not installed"
)
def test_the_command_makes_the_secret_that_the_pods_read(pods: list[dict[str, Any]]) -> None:
    done = subprocess.run(
        ["bash", "-euc", _DRY_RUN + block("bash kubectl").text],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    secret = yaml.safe_load(done.stdout)
    wanted = {
        (reference["name"], reference["key"])
        for container in containers(pods)
        for variable in container["env"]
        if (reference := variable.get("valueFrom", {}).get("secretKeyRef"))
    }
    assert {(secret["metadata"]["name"], key) for key in secret["data"]} == wanted


def test_the_image_is_built_from_valid_instructions_and_its_user_runs_the_pods(
    tmp_path: Path, pods: list[dict[str, Any]]
) -> None:
    file = tmp_path / "Containerfile"
    file.write_text(block("dockerfile manifest").text + "\n", "utf-8")
    instructions = instructions_of(file)
    assert [one.name for one in instructions] == ["FROM", "RUN", "RUN", "USER"]
    (user,) = (one.words for one in instructions if one.name == "USER")
    assert {pod["spec"]["securityContext"]["runAsUser"] for pod in pods} == {int(user[0])}
    assert f"useradd --uid {user[0]}" in instructions[2].text


@pytest.mark.parametrize("kind", ["Service", "NetworkPolicy", "PersistentVolumeClaim", "Pod"])
def test_the_schema_of_kubernetes_accepts_it(
    kind: str, manifest: list[dict[str, Any]], pods: list[dict[str, Any]]
) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    documents = [document for document in manifest if document["kind"] == kind]
    if kind == "Pod":
        documents = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "x", **pod.get("metadata", {})},
                "spec": pod["spec"],
            }
            for pod in pods
        ]
    assert documents
    for document in documents:
        schemas.validate(document, schemas.latest_version(), strict=True)
