"""`tocsin monitor` with worker processes of Dask and Ray: the same rows as without, also if one is killed."""

from importlib.util import find_spec

import pytest
from clusters import DaskCluster, RayCluster
from papers import ARTICLES, PAPERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def needs(runner):
    is_absent = find_spec(f"prefect_{runner}") is None
    return pytest.mark.skipif(is_absent, reason=f'it is not installed: pip install "tocsin[{runner}]"')


RUNNERS = [pytest.param(runner, marks=needs(runner)) for runner in ("dask", "ray")]


@pytest.mark.parametrize("runner", RUNNERS)
def test_two_worker_processes_store_the_same_rows(runner, run_papers, alone, stored):
    # Ray would go there for want of an address, but a run starts workers of its own.
    done, report, data = run_papers(runner, RAY_ADDRESS="127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert f"crew.started runner={runner} slots=2" in (data / "tocsin.log").read_text()
    found = stored(data)
    assert found == stored(alone[2])
    assert len(found["articles"]) == ARTICLES
    assert [report[key] for key in ("fetched", "failed", "matches")] == [
        alone[1][key] for key in ("fetched", "failed", "matches")
    ]
    assert report["alerts"]["decided"] == alone[1]["alerts"]["decided"] >= 1
    assert sorted(failure["reason"] for failure in report["failures"]) == ["forbidden_address", "http_404"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_killed_workers_shard_is_done_again_once(runner, run_papers, alone, papers, stored):
    paper = papers[2]
    paper.forget(kills=1)
    done, report, data = run_papers(runner)
    assert len(paper.killed) == 1
    assert b"monitor" not in paper.killed[0][1]
    assert done.returncode == 0, done.stderr
    assert report["lost_feeds"] == 0
    assert paper.asked.count("/1.xml") == 2
    assert stored(data) == stored(alone[2])


@pytest.fixture
def cluster(runner, clean_environment, tmp_path):
    kind = {"dask": DaskCluster, "ray": RayCluster}[runner]
    with kind(2, tmp_path / "cluster", clean_environment) as running:
        yield running


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_cluster_at_an_address_does_it_too(runner, cluster, run_papers, alone, papers, stored):
    paper = papers[2]
    paper.forget(kills=1)
    done, report, data = run_papers(f"{runner}:{cluster.address}", **cluster.access)
    assert done.returncode == 0, done.stderr
    assert f"crew.started runner={runner} slots=2" in (data / "tocsin.log").read_text()
    assert (len(paper.killed), paper.asked.count("/1.xml"), report["lost_feeds"]) == (1, 2, 0)
    assert stored(data) == stored(alone[2])


@pytest.mark.parametrize("runner", [pytest.param("dask", marks=needs("dask"))])
def test_a_scheduler_that_is_gone_leaves_its_shards_for_the_next_run(
    cluster, run_papers, alone, papers, stored
):
    paper = papers[2]
    paper.forget(kills=1, victim=cluster.scheduler)
    done, report, data = run_papers(f"dask:{cluster.address}")
    assert len(paper.killed) == 1
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert report["lost_feeds"] >= 2
    assert report["fetched"] + report["failed"] + report["lost_feeds"] == 2 * PAPERS + 2
    assert run_papers("threads", data)[0].returncode == 0
    assert stored(data)["articles"] == stored(alone[2])["articles"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_shard_that_kills_twice_is_left_for_the_next_run(runner, run_papers, alone, papers, stored):
    paper = papers[2]
    paper.forget(kills=2)
    done, report, data = run_papers(runner)
    assert len(paper.killed) == 2
    assert done.returncode == 1
    assert report["lost_feeds"] >= 2
    assert report["fetched"] + report["failed"] + report["lost_feeds"] == 2 * PAPERS + 2
    assert run_papers(runner, data)[0].returncode == 0
    assert stored(data)["articles"] == stored(alone[2])["articles"]
