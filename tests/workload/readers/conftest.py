"""Files to read."""

import json

import pytest


@pytest.fixture
def write(tmp_path):
    """Write bytes, text or what becomes JSON to a file, and return its path."""

    def write(content, name="trace"):
        path = tmp_path / name
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
