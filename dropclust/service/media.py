"""Files that a page shows together, told to Streamlit's manager of files at once: who shows them again names them, no more."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from streamlit.runtime import get_instance
from streamlit.runtime.media_file_manager import MediaFileManager, MediaFileMetadata, _get_session_id


class Together:
    """Files by their content; made once for all viewers.

    Parameters
    ----------
    files
        Content and type of each.
    """

    def __init__(self, files: Sequence[tuple[bytes, str]]) -> None:
        self._files = tuple(files)
        self._told: tuple[weakref.ref[MediaFileManager], tuple[str, ...], tuple[str, ...]] | None = None

    def paths(self, name: str) -> tuple[str, ...]:
        """Where a browser finds each, below the server's own address; of the session whose page runs, until its next run.

        Parameters
        ----------
        name
            Of what shows them, one such on a page.
        """
        manager = get_instance().media_file_mgr
        told = self._told
        if told is not None and told[0]() is manager and _told_again(manager, name, told[1]):
            return told[2]
        paths = tuple(manager.add(content, kind, f"{name}-{number}") for number, (content, kind) in enumerate(self._files))
        ids = tuple(path.rsplit("/", 1)[-1].split(".")[0] for path in paths)
        self._told = weakref.ref(manager), ids, paths
        return paths


def _told_again(manager: Any, name: str, ids: tuple[str, ...]) -> bool:
    """What adding the files again does, without a look at what is in them; False where the manager does not hold them all."""
    try:
        with manager._lock:
            held, shown = manager._file_metadata, manager._files_by_session_and_coord[_get_session_id()]
            if not all(number in held for number in ids):
                return False
            for place, number in enumerate(ids):
                held[number] = MediaFileMetadata()
                shown[f"{name}-{place}"] = number
    except AttributeError:  # another Streamlit's, which keeps them otherwise
        return False
    return True
