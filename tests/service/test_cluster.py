"""What keeps the private cluster private, and what it makes of a clock set back and of a folder that is gone."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from dropclust.service import cluster


def test_the_certificate_is_valid_from_yesterday():
    certificate = x509.load_pem_x509_certificate(cluster._key_pair()[0])
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc <= now - timedelta(hours=23)
    assert certificate.not_valid_after_utc >= now + timedelta(days=364)


def test_no_two_clusters_share_a_key():
    assert len({cluster._key_pair() for _ in range(3)}) == 3


def test_keys_lie_beside_the_store_and_not_where_others_tidy_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path / "cache"))
    folder = cluster._private_folder()
    assert folder.parent == tmp_path / "cache" / "workers"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_where_nothing_can_be_written_there_keys_lie_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cluster._private_folder().parent == tmp_path


def test_a_folder_that_is_gone_is_a_lost_cluster(tmp_path: Path):
    lost = cluster.PrivateCluster(1)
    lost.client, lost.folder = SimpleNamespace(status="running"), tmp_path / "gone"
    with pytest.raises(cluster.ClusterLost, match="folder with the keys of the background workers is gone"):
        lost.check()


def test_a_worker_keeps_its_memory_between_two_steps_and_is_not_sampled(tmp_path: Path):
    program = (
        "import dask, distributed.nanny as nanny\n"
        "print(sorted(nanny._get_env_variables('distributed.nanny.pre-spawn-environ')))\n"
        "print(dask.config.get('distributed.worker.profile.enabled'))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], env=cluster._environment(tmp_path), capture_output=True, text=True, check=True
    )
    variables, sampled = told.stdout.splitlines()
    assert "OMP_NUM_THREADS" in variables
    assert "MALLOC_TRIM_THRESHOLD_" not in variables
    assert sampled == "False"
