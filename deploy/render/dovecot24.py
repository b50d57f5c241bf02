from __future__ import annotations

from collections.abc import Mapping

from deploy.render.values import Snapshot


def files(snapshot: Snapshot) -> Mapping[str, bytes]:
    raise NotImplementedError
