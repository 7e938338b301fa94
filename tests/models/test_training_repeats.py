from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("fit_small.py")
ROOT = Path(__file__).parents[2]
FITTED = (
    "fitted.json",
    "fitted.npz",
    "fitted_terms.txt",
    "background.npz",
    "background_terms.txt",
    "zero_shot.json",
)


def start_fitting(folder: Path, *, hash_seed: int) -> subprocess.Popen[bytes]:
    folder.mkdir()
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, SCRIPT, folder], env=environment)


def test_the_same_data_give_the_same_bytes_in_another_process(tmp_path):
    folders = [tmp_path / "one", tmp_path / "other"]
    processes = [start_fitting(folder, hash_seed=seed) for seed, folder in enumerate(folders, start=1)]
    assert [process.wait(timeout=900) for process in processes] == [0, 0]
    for name in FITTED:
        one, other = ((folder / name).read_bytes() for folder in folders)
        assert one == other, name
        assert one
