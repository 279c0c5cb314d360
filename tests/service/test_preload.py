"""What our Dask processes do first, each step in a process of its own that may end."""

import os
import subprocess
import sys
from pathlib import Path

from dropclust.service import preload

ROOT = Path(__file__).parents[2]


def start(code, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_step_that_fails_ends_the_process_and_says_why():
    """Also where a thread or an exception handler would keep it alive, as Dask does."""
    process = start(
        "from dropclust.service import preload\n"
        "try:\n    preload.or_end_process(lambda: 1 / 0)\n"
        "except BaseException:\n    pass\n"
        "print('still here')"
    )
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert out == ""
    assert err.strip().endswith("ZeroDivisionError: division by zero")


def test_a_step_that_works_is_no_end():
    done = []
    preload.or_end_process(lambda: done.append(1))
    assert done == [1]


def test_the_process_ends_with_the_app_and_the_folder_goes(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "key.pem").write_text("secret")
    code = "from dropclust.service import preload; preload.end_with_app(); print('guarded', flush=True)\n"
    with start(code + "import time; time.sleep(60)", DROPCLUST_CLUSTER_FOLDER=str(folder)) as process:
        assert process.stdout.readline() == "guarded\n"
        assert process.poll() is None
        assert folder.exists()
        process.stdin.close()
        assert process.wait(20) == 1
    assert not folder.exists()


def test_a_process_that_the_app_did_not_start_is_left_alone():
    code = "from dropclust.service import preload; preload.end_with_app()\nimport time; time.sleep(0.5); print('here')"
    with start(code) as process:
        process.stdin.close()
        assert process.stdout.read() == "here\n"
        assert process.wait(20) == 0


def test_a_worker_gets_warm_without_images_too(tmp_path):
    code = "from dropclust.service import preload; preload.warm(); import torch; print(torch.get_num_threads())"
    with start(code, DROPCLUST_CACHE=str(tmp_path)) as process:
        out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("1\n", "", 0)


def test_the_kernel_ends_a_worker_whose_nanny_dies(tmp_path):
    """A nanny that starts a worker, which guards itself, says so and computes for ever; then the nanny is killed."""
    worker = "from dropclust.service import preload\npreload.end_with_nanny()\nprint('guarded', flush=True)\nwhile True: pass"
    nanny = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {worker!r}])"
    if sys.platform != "linux":
        return
    with start(nanny) as process:
        assert process.stdout.readline() == "guarded\n"
        process.kill()
        assert process.stdout.read() == ""  # ends only when the worker is gone as well
