"""Settings of the store: command line before environment before file; a value that means nothing is one sentence."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.facts.errors import ChipfitError
from stages.store.settings import DEFAULT_SIZE, StoreSettings, read_settings

NONE: dict[str, str] = {}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def settings(folder: Path, environment: dict[str, str] = NONE, **options: Any) -> StoreSettings:
    return read_settings(start=folder, environment=environment, **options)


def test_without_any_setting_the_users_cache_folder_is_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = settings(tmp_path)
    assert found == StoreSettings(found.folder, None, "read-only", DEFAULT_SIZE, True)
    assert found.folder.parts[-2:] == ("chipfit", "store")


def test_each_value_is_taken_from_the_highest_that_gives_it(tmp_path: Path) -> None:
    write(
        tmp_path / "chipfit.toml",
        '[store]\nurl = "https://table.example/x"\nmode = "read-write"\nsize = "3 GiB"\nfolder = "mine"\n',
    )
    found = settings(tmp_path)
    assert (found.url, found.mode, found.size) == ("https://table.example/x", "read-write", 3 << 30)
    assert found.folder == tmp_path / "mine"
    environment = {"CHIPFIT_STORE": "s3://bucket/env/", "CHIPFIT_STORE_SIZE": "10 MiB", "CHIPFIT_STORE_MODE": ""}
    found = settings(tmp_path, environment)
    assert (found.url, found.mode, found.size) == ("s3://bucket/env", "read-write", 10 << 20)
    found = settings(tmp_path, environment, url="gs://option", mode="read-only")
    assert (found.url, found.mode, found.size) == ("gs://option", "read-only", 10 << 20)


def test_none_switches_storing_off_until_something_above_says_otherwise(tmp_path: Path) -> None:
    assert not settings(tmp_path, {"CHIPFIT_STORE": "none"}).enabled
    assert settings(tmp_path, {"CHIPFIT_STORE": "none"}, url="memory://x").enabled
    assert not settings(tmp_path, {"CHIPFIT_STORE": "memory://x"}, off=True).enabled


def test_the_nearest_table_up_to_the_repositorys_root_counts(tmp_path: Path) -> None:
    write(tmp_path / "chipfit.toml", '[store]\nurl = "memory://outside"\n')
    write(tmp_path / "repo" / "pyproject.toml", '[tool.chipfit.store]\nurl = "memory://root"\n')
    deep = tmp_path / "repo" / "a" / "b"
    deep.mkdir(parents=True)
    assert settings(deep).url is None  # no repository: folders above could be anybody's
    (tmp_path / "repo" / ".git").mkdir()
    assert settings(deep).url == "memory://root"
    write(tmp_path / "repo" / "a" / "pyproject.toml", "[tool.other]\nx = 1\n")
    assert settings(deep).url == "memory://root"
    write(tmp_path / "repo" / "a" / "chipfit.toml", '[store]\nurl = "memory://a"\n')
    assert settings(deep).url == "memory://a"
    (tmp_path / "repo" / "pyproject.toml").unlink()
    (tmp_path / "repo" / "a" / "chipfit.toml").unlink()
    assert settings(deep).url is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[store\n", "is not valid TOML"),
        ("[stor]\n", "stor: is not a known table"),
        ("store = 1\n", "store: is no table"),
        ('[store]\nmod = "read-only"\n', "store.mod: is not a known key. Hint: Did you mean 'mode'?"),
        ('[store]\nmode = "readwrite"\n', "store.mode: is 'readwrite', expected read-only or read-write"),
        ("[store]\nmode = 1\n", "store.mode: is 1, expected"),
        ("[store]\nsize = 5\n", "store.size: 5 is not a number with a unit, expected for example 2 GiB"),
        ('[store]\nsize = "-1 GiB"\n', "store.size: '-1 GiB' is negative"),
        ('[store]\nsize = "10 B"\n', "store.size: is '10 B', expected at least 1 MiB"),
        ("[store]\nurl = 1\n", "store.url: is no URL"),
        ('[store]\nurl = ""\n', "store.url: '' does not begin with a known kind of store"),
        (
            '[store]\nurl = "ftp://x/y"\n',
            "store.url: 'ftp://x/y' does not begin with a known kind of store. Hint: Write http",
        ),
        ('[store]\nurl = "https://"\n', "names no host"),
        ('[store]\nurl = "https://h:port/"\n', "is no URL"),
        ('[store]\nurl = "https://h/?sig=secret"\n', "'https://h/' goes on after ? or #"),
        ('[store]\nurl = "file:relative"\n', "does not name a folder from the root on. Hint: Three slashes"),
        ('[store]\nurl = "file://server/x"\n', "does not name a folder from the root on"),
        ('[store]\nurl = "https://a b/"\n', "is no URL"),
        ('[store]\nurl = "https://a\\u001b[2J/"\n', "is no URL"),
        ('[store]\nfolder = ""\n', "store.folder: is no path of a folder"),
        ('[store]\nfolder = "~nobody-here/x"\n', "is the folder of no known user"),
    ],
)
def test_a_bad_value_is_one_sentence_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "chipfit.toml", text)
    with pytest.raises(ChipfitError) as raised:
        settings(tmp_path)
    assert str(raised.value).startswith(f"{path}: ") and message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_bad_variable_or_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=r"^CHIPFIT_STORE_MODE: is 'x', expected"):
        settings(tmp_path, {"CHIPFIT_STORE_MODE": "x"})
    with pytest.raises(ChipfitError, match=r"^--store-mode: is 'x', expected"):
        settings(tmp_path, mode="x")


def test_no_password_is_shown(tmp_path: Path) -> None:
    found = settings(tmp_path, url="https://user:se@cret@host.example/x")
    assert found.shown_url == "https://host.example/x" and "cret" not in repr(found)
    for url in ("ftp://user:secret@host/x", "https://user:secret@host/x?y", "https://user:secret@host:x/"):
        with pytest.raises(ChipfitError) as raised:
            settings(tmp_path, url=url)
        assert "secret" not in str(raised.value)


SECRET = ("s3cr", "q7", "1234", "5678", "jane")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "https://jane:s3cr/q7@host/x",
            "is no URL. Hint: For example https://build.example.com:8080/chipfit. In a user",
        ),
        ("https://jane:1234/5678@host/x", "'https://host/x' has an @ in its path, or a / before its host. Hint: In a"),
        ("jane:s3cr@host/x", "'host/x' does not begin with a known kind of store"),
        ("jane:q7://s3cr@host/x", "'host/x' does not begin with a known kind of store"),
        ("s3cr://q7@host/x", "'host/x' does not begin with a known kind of store"),
        ("https://jane:s3cr?q7@host/x", "is no URL"),
        ("https://jane:1234?5678@host/x", "goes on after ? or #"),
        ("https://jane:1234#5678@host/x", "goes on after ? or #"),
        ("https://host/x?sig=s3cr@q7", "goes on after ? or #"),
        ("https://host/x#s3cr", "'https://host/x' goes on after ? or #"),
        ("https://jane:[s3cr@host/x", "is no URL"),
        ("https://jane:s3cr", "is no URL"),
        ("https://jane\u2100:s3cr@host", "is no URL"),
        ("memory://x/s3cr@host", "'memory://host' has an @ in its path"),
        ("file:///jane/s3cr@host", "'file://host' has an @ in its path"),
    ],
)
def test_no_part_of_a_password_is_shown_wherever_it_ends(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(ChipfitError) as raised:
        settings(tmp_path, url=url)
    assert message in str(raised.value) and not [s for s in SECRET if s in str(raised.value)]


def test_a_hostile_settings_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chipfit.toml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ChipfitError, match="the limit is"):
        settings(tmp_path)
    path.write_bytes(b"x = " + b"[" * 100_000)
    with pytest.raises(ChipfitError, match="is not valid TOML"):
        settings(tmp_path)
    path.write_bytes(b"\xff")
    with pytest.raises(ChipfitError, match="is not valid TOML"):
        settings(tmp_path)
