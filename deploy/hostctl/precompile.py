"""Adds compiled code for this host's own Python to the helper's file: 0.1 s less a request.

Python compiles what it imports from a zip anew each time.  Another Python than the one it
was made for ignores it and reads the sources, which stay.
"""

from __future__ import annotations

import io
import os
import py_compile
import tempfile
import zipfile
from pathlib import Path


def precompile(helper: Path) -> None:
    content = helper.read_bytes()
    first_line, _, archive = content.partition(b"\n")
    out = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new,
    ):
        for name in old.namelist():
            if not name.endswith(".py"):
                continue
            source = Path(folder) / "source.py"
            source.write_bytes(old.read(name))
            new.writestr(name, old.read(name))
            compiled = py_compile.compile(
                str(source),
                cfile=str(Path(folder) / "source.pyc"),
                dfile=name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            assert compiled is not None  # doraise
            new.writestr(name + "c", Path(compiled).read_bytes())
    beside = helper.with_name(helper.name + ".compiled")
    beside.write_bytes(first_line + b"\n" + out.getvalue())
    beside.chmod(0o755)
    os.replace(beside, helper)
