"""The manifest asks for the scopes that our calls need: no more, no fewer."""

import ast
from pathlib import Path

import yaml

from flows.alerts.slack_scopes import SCOPES

ROOT = Path(__file__).parents[3]
# From the reference of each method, for public and private channels.
NEEDED = {
    "auth.test": set(),
    "chat.postMessage": {"chat:write"},
    "conversations.list": {"channels:read", "groups:read"},
    "conversations.history": {"channels:history", "groups:history"},
    "conversations.replies": {"channels:history", "groups:history"},
    "chat.update": {"chat:write"},
    "chat.postEphemeral": {"chat:write"},
    "reactions.get": {"reactions:read"},
    "files_upload_v2": {"files:write"},  # files.getUploadURLExternal and files.completeUploadExternal
}


def methods_called():
    """Every Slack method that the code of alerts names in a call."""
    found = set()
    for path in (ROOT / "flows" / "alerts").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.args else None
                if node.func.attr in {"ask", "ask_pages", "post"} and isinstance(first, ast.Constant):
                    found.add(first.value)
                if node.func.attr == "files_upload_v2":
                    found.add(node.func.attr)
    return found


def scopes_of_manifest():
    manifest = yaml.safe_load((ROOT / "deploy" / "slack-app-manifest.yaml").read_text(encoding="utf-8"))
    return manifest["oauth_config"]["scopes"]["bot"]


def test_the_manifest_has_exactly_the_scopes_that_the_calls_need():
    called = methods_called()
    assert called >= {"auth.test", "chat.postMessage", "conversations.list", "conversations.history"}
    needed = set().union(*(NEEDED[method] for method in called))
    assert sorted(scopes_of_manifest()) == sorted(needed)


def test_what_is_told_of_scopes_is_of_the_same_scopes_and_calls():
    assert {scope.name for scope in SCOPES} == set(scopes_of_manifest())
    for scope in SCOPES:
        assert {method for method in methods_called() if scope.name in NEEDED[method]} == set(scope.methods)


def test_the_emulated_app_has_the_scopes_of_the_manifest(slack_emulator):
    granted = next(token["scopes"] for token in slack_emulator.seed()["slack"]["tokens"])
    assert set(granted) == set(scopes_of_manifest())


def test_the_guide_has_ten_steps():
    text = (ROOT / "docs" / "slack.md").read_text(encoding="utf-8")
    steps = [line for line in text.splitlines() if line.partition(".")[0].isdigit()]
    assert len(steps) == 10
