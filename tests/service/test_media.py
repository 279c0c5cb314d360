"""Files that are shown together are held as Streamlit holds each, and not looked at again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.runtime import media_file_manager, memory_media_file_storage
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from dropclust.service import dashboard, media

FILES = [(b"code", "text/javascript"), (b"layer", "application/gzip"), (b"picture", "image/webp"), (b"picture", "image/webp")]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A manager, the session whose page runs, and how many files were looked at."""
    made = SimpleNamespace(manager=MediaFileManager(MemoryMediaFileStorage("/media")), session="a", looked=0)
    monkeypatch.setattr(dashboard, "KEPT_SECONDS", 0.0)  # where another test has had files kept longer
    monkeypatch.setattr(media, "get_instance", lambda: SimpleNamespace(media_file_mgr=made.manager))
    for owner in (media, media_file_manager):
        monkeypatch.setattr(owner, "_get_session_id", lambda: made.session)
    look = memory_media_file_storage._calculate_file_id

    def counted(*args: object) -> str:
        made.looked += 1
        return look(*args)

    monkeypatch.setattr(memory_media_file_storage, "_calculate_file_id", counted)
    return made


def held(manager: MediaFileManager) -> dict[str, dict[str, str]]:
    return {session: dict(files) for session, files in manager._files_by_session_and_coord.items()}


def test_a_second_session_and_run_is_told_the_same_without_a_look(served: SimpleNamespace) -> None:
    together = media.Together(FILES)
    paths = together.paths("scene")
    assert len(paths) == 4
    assert paths[2] == paths[3]
    assert served.looked == 4
    served.manager.clear_session_refs("a")
    for session in ("a", "b"):
        served.session = session
        assert together.paths("scene") == paths
    assert served.looked == 4
    expected = MediaFileManager(MemoryMediaFileStorage("/media"))
    for session in ("a", "b"):
        served.session = session
        for place, (content, kind) in enumerate(FILES):
            expected.add(content, kind, f"scene-{place}")
    assert held(served.manager) == held(expected)


def test_a_file_lives_while_any_session_shows_it_and_is_added_again_after(served: SimpleNamespace) -> None:
    together = media.Together(FILES)
    paths = together.paths("scene")
    served.session = "b"
    assert together.paths("scene") == paths

    def swept() -> int:
        for _ in range(3):  # marked, then deleted
            served.manager.remove_orphaned_files()
        return len(served.manager._file_metadata)

    served.manager.clear_session_refs("a")
    assert swept() == 3
    served.manager.clear_session_refs("b")
    assert swept() == 0
    looked = served.looked
    assert together.paths("scene") == paths
    assert served.looked == looked + 4
    assert swept() == 3


def test_a_mark_for_deletion_is_taken_away(served: SimpleNamespace) -> None:
    together = media.Together(FILES)
    together.paths("scene")
    served.manager.clear_session_refs("a")
    served.manager.remove_orphaned_files()
    together.paths("scene")
    assert not any(metadata.is_marked_for_delete for metadata in served.manager._file_metadata.values())


def test_another_manager_is_told_and_one_that_is_otherwise_is_asked_each_time(served: SimpleNamespace) -> None:
    together = media.Together(FILES)
    together.paths("scene")
    served.manager = MediaFileManager(MemoryMediaFileStorage("/elsewhere"))
    paths = together.paths("scene")
    assert all(path.startswith("/elsewhere/") for path in paths)
    assert served.looked == 8
    del served.manager._file_metadata
    served.manager.add = lambda content, kind, place: f"/otherwise/{place}.x"
    assert together.paths("scene") == tuple(f"/otherwise/scene-{place}.x" for place in range(4))
