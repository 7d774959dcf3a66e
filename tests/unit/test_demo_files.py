"""Which files the demo reads: real folders with what real folders hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch.demo.encoding import decode
from pyagent_orch.demo.files import collect, default_folder, is_binary
from pyagent_orch.exceptions import ConfigurationError

ROOT = Path(__file__).parents[2]


def paths(folder: Path) -> list[str]:
    return [file.path for file in collect(folder).files]


def put(folder: Path, path: str, data: bytes = b"text\n") -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def test_text_files_are_found_at_any_depth_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for path in ("b.txt", "a/deep/er/c.md", "a/b.py"):
        put(tmp_path, path)
    collection = collect(tmp_path)
    assert [file.path for file in collection.files] == ["a/b.py", "a/deep/er/c.md", "b.txt"]
    assert collection.size_bytes == 15
    assert collection.skipped == {}


@pytest.mark.parametrize(
    ("path", "data", "left_out", "reason"),
    [
        (".env", b"SECRET=1\n", ".env", "hidden"),
        (".git/config", b"x\n", ".git", "hidden"),
        ("node_modules/a/index.js", b"x\n", "node_modules", "vendored"),
        ("lib/vendor/a.py", b"x\n", "lib/vendor", "vendored"),
        ("build/out.txt", b"x\n", "build", "produced"),
        ("demo-report/report.md", b"x\n", "demo-report", "produced"),
        ("a.egg-info/PKG-INFO", b"x\n", "a.egg-info", "produced"),
        ("my-env/pyvenv.cfg", b"home = /usr\n", "my-env", "virtual environment"),
        ("logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "logo.png", "binary"),
        ("noise.dat", bytes(range(1, 30)) * 5, "noise.dat", "binary"),
        ("__init__.py", b"", "__init__.py", "empty"),
        ("data.csv", b"1,2\n" * 250_001, "data.csv", "over 1 MB"),
    ],
)
def test_what_is_no_text_of_the_project_is_left_out_with_its_reason(
    tmp_path: Path, path: str, data: bytes, left_out: str, reason: str
) -> None:
    put(tmp_path, path, data)
    put(tmp_path, "kept.txt")
    collection = collect(tmp_path)
    assert [file.path for file in collection.files] == ["kept.txt"]
    assert collection.skipped == {left_out: reason}
    assert collection.skipped_by_reason() == {reason: 1}


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", b"x" * 1_000_000)
    assert paths(tmp_path) == ["a.txt"]


def test_links_are_not_followed_even_in_a_circle(tmp_path: Path) -> None:
    file = put(tmp_path, "a/file.txt")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "other.txt").symlink_to(file)
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "nowhere")
    collection = collect(tmp_path)
    assert [file.path for file in collection.files] == ["a/file.txt"]
    assert set(collection.skipped.values()) == {"symbolic link"}


def test_a_pipe_does_not_block_the_collection(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert collect(tmp_path).skipped == {"pipe": "not a regular file"}


def test_a_single_file_is_a_folder_of_one_file(tmp_path: Path) -> None:
    file = put(tmp_path, "one.md", b"# One\n")
    put(tmp_path, "two.md")
    collection = collect(file)
    assert (collection.folder, [file.path for file in collection.files]) == (tmp_path, ["one.md"])


def test_a_folder_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        collect(tmp_path / "nowhere")


def test_the_default_folder_is_this_checkout_without_its_environment() -> None:
    assert default_folder() == ROOT
    found = paths(ROOT)
    assert {"pyproject.toml", "pyagent_orch/demo/files.py", "tests/conftest.py"} <= set(found)
    assert not [path for path in found if path.startswith((".venv", ".git"))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_in_the_usual_encodings_is_no_binary(encoding: str) -> None:
    data = "Grüße aus Köln, naïve café\n".encode(encoding)
    assert not is_binary(data)
    assert decode(data)[0] == "Grüße aus Köln, naïve café\n"


def test_what_is_wrong_with_the_characters_is_told_with_its_line() -> None:
    text, encoding, troubles = decode(b"one\ntwo \x80\r\nthree\x07\n")
    assert text == "one\ntwo \N{EURO SIGN}\r\nthree\x07\n"
    assert encoding == "windows-1252"
    assert troubles == [
        "line 2 is not UTF-8; read as Windows-1252",
        "mixed line ends: 2 LF, 1 CRLF",
        "control characters, first on line 3",
    ]


def test_a_clean_text_has_no_troubles() -> None:
    assert decode("Grüße\nund Küsse\n".encode()) == ("Grüße\nund Küsse\n", "utf-8", [])


def test_a_byte_order_mark_and_lost_characters_are_troubles() -> None:
    text, _, troubles = decode("\ufeffa\nb\ufffd".encode())
    assert text == "a\nb\ufffd"
    assert troubles == [
        "starts with a byte order mark",
        "characters that an earlier decoding lost, first on line 2",
    ]


@given(st.binary(max_size=300))
def test_any_bytes_can_be_decoded(data: bytes) -> None:
    text, encoding, _ = decode(data)
    assert isinstance(text, str)
    assert encoding in {"utf-8", "utf-16-le", "utf-16-be", "windows-1252"}
