"""`tocsin evaluate`: tables, JSON, plots, comparison, and what wrong use is told."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tocsin.cli.evaluate import evaluate as command
from tocsin.errors import SettingsError

ARTICLES = [
    ("Washington widens export controls on AI chips", "Licences are needed for China.", ["export_controls"]),
    ("Chip exports to China need a licence from March", "", ["export_controls"]),
    ("The village choir won again", "It was the third time in a row.", []),
    ("Rain is expected on Sunday", "Take an umbrella.", ["device_bans"]),
    ("Parliament bans TikTok on government phones", "", []),
]


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "labels.jsonl"
    rows = [{"title": title, "summary": summary, "topics": topics} for title, summary, topics in ARTICLES]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def run(file):
    def run(*arguments, code=0):
        done = CliRunner().invoke(command, [str(file), *map(str, arguments)], prog_name="tocsin evaluate")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    return run


def test_figures_and_the_worst_errors_are_shown(run):
    shown = run().stdout
    assert "Brier" in shown
    assert "Worst errors" in shown
    assert "Parliament bans TikTok" in shown  # a false alarm
    assert "Rain is expected" in shown  # a miss
    assert "5 articles" in shown


def test_errors_can_be_left_out(run):
    assert "Worst errors" not in run("--errors", 0).stdout


def test_json_holds_scores_only_where_they_are_asked_for(run):
    plain, full = json.loads(run("--json").stdout), json.loads(run("--json", "--scores").stdout)
    assert "scores" not in plain
    assert len(full["scores"]["export_controls"]) == 5
    assert full["errors"][0]["reason"]["sentence"]
    assert run("--scores", code=2).stderr.endswith("--scores needs --json\n")


def test_a_run_is_compared_with_a_saved_one(run, tmp_path):
    saved = run("--json", "--scores").stdout
    report = json.loads(saved)
    report["scores"]["export_controls"][0] = 0.01
    (tmp_path / "old.json").write_text(json.dumps(report))
    shown = run("--compare", tmp_path / "old.json").stdout
    assert "Changed verdicts: 1" in shown
    assert "match, right" in shown
    (tmp_path / "same.json").write_text(saved)
    assert "No verdict changed." in run("--compare", tmp_path / "same.json").stdout
    compared = json.loads(run("--json", "--compare", tmp_path / "old.json").stdout)["comparison"]
    assert compared["changes"][0]["before"] == pytest.approx(0.01)


def test_plots_are_drawn_for_topics_with_positives_and_over_all(run, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    run("--plots", tmp_path / "plots")
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert names == ["device_bans.png", "export_controls.png", "overview.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "plots").iterdir())


def test_the_same_plot_has_the_same_bytes(run, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    run("--plots", tmp_path / "one")
    run("--plots", tmp_path / "two")
    assert (tmp_path / "one/overview.png").read_bytes() == (tmp_path / "two/overview.png").read_bytes()


def test_without_matplotlib_the_extra_is_named(run, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SettingsError, match=r"tocsin\[plots\]"):
        run("--plots", tmp_path / "plots")


def test_a_folder_that_cannot_be_written_is_named(run, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    (tmp_path / "taken").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        run("--plots", tmp_path / "taken")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
def test_one_article_takes_little_memory_and_processor_time_from_a_cold_start(file, tmp_path):
    peak = tmp_path / "peak"
    program = f"""
import atexit, pathlib, re, sys
from tocsin.cli import main
status = pathlib.Path("/proc/self/status")
peak = pathlib.Path({str(peak)!r})
atexit.register(lambda: peak.write_text(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]))
sys.argv[1:] = ["evaluate", sys.argv[1]]
main()
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    # Not ru_maxrss, which begins with the size of the process that forked this one.
    assert int(peak.read_text()) < 600_000  # kilobytes; about 160,000 were measured
    assert usage.ru_utime + usage.ru_stime < 5  # about 2 s were measured; the machine may be slow


@pytest.fixture
def nli(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is only in the environment of the extra `torch`")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "models"))
    from tiny_models import save_transformer

    names = {0: "contradiction", 1: "entailment"}
    return save_transformer(tmp_path / "nli", "BertForSequenceClassification", id2label=names, num_labels=2)


def test_a_cross_encoder_has_its_part_in_doubtful_scores_and_the_heads_say_so(run, file, nli, monkeypatch):
    with file.open("a") as lines:
        lines.write('\n{"title": "Lawmakers weigh rules for chatbots", "topics": []}')
    before = json.loads(run("--json", "--scores").stdout)
    monkeypatch.setenv("TOCSIN_CROSS_ENCODER", str(nli))
    after = json.loads(run("--json", "--scores").stdout)
    assert {head.partition("+")[2][:4] for head in after["heads"].values()} == {"nli-"}
    moved = doubtful = 0
    for topic, scores in before["scores"].items():
        for old, new in zip(scores, after["scores"][topic], strict=True):
            moved += old != new
            doubtful += 0.2 <= old <= 0.8
    assert moved == doubtful > 0


def test_a_one_pass_classifier_is_told_from_an_nli_model_by_its_files(run, file, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is only in the environment of the extra `torch`")
    if importlib.util.find_spec("gliclass") is None:
        pytest.skip("gliclass is only in the environment of the extra `gliclass`")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "models"))
    from tiny_models import save_one_pass

    monkeypatch.setenv("TOCSIN_CROSS_ENCODER", str(save_one_pass(tmp_path / "one", places=512)))
    after = json.loads(run("--json", "--scores").stdout)
    assert {head.partition("+")[2][:4] for head in after["heads"].values()} == {"gli-"}


def test_a_cross_encoder_that_cannot_be_found_is_named(run, monkeypatch):
    monkeypatch.setenv("TOCSIN_CROSS_ENCODER", "nowhere")
    with pytest.raises(SettingsError, match="TOCSIN_CROSS_ENCODER: nowhere"):
        run()
