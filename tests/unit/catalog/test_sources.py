"""`labs add` and `labs update`: real git repositories, friendly and hostile."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from support.cli import Labs
from support.wait import until

from orchestrator.catalog.fetch import parse_source
from orchestrator.catalog.sources import fetch_solutions, folder_of, read_added
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.scaffold.new_lab import lab_files, write
from orchestrator.system.home import find_home
from orchestrator.verify.solutions import read_solutions


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
                   "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(["git", "-c", "protocol.file.allow=always", *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, message: str = "change") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one lab in a folder, at one commit."""
    folder = tmp_path / "our-labs"
    write(folder / "short-links", lab_files("short-links"))
    git(folder, "init", "--quiet", "-b", "main")
    commit(folder)
    return folder


@pytest.fixture
def labs(tmp_path: Path) -> Labs:
    return Labs(tmp_path / "home", "embedded")


def said(labs: Labs, *arguments: str) -> tuple[int, str, str]:
    """Exit code, the first error's code, and all its words."""
    answer = labs.json(*arguments)
    error = (answer["errors"] or [{"code": "", "message": ""}])[0]
    return answer["exit_code"], error["code"], json.dumps(error)


def test_a_lab_is_added_and_stays_as_it_was(labs: Labs, repository: Path) -> None:
    """Pinned: what the repository gets later comes with an update only, which says which milestones it changes."""
    first = git(repository, "rev-parse", "HEAD")
    added = labs.json("add", repository.as_uri(), "--yes")
    assert (added["exit_code"], added["data"]["commit"], added["data"]["labs"]) == (0, first, ["short-links"])
    assert "short-links" in labs.ok("list")
    assert "redis/count" in labs.ok("info", "short-links")
    assert "no problem" in labs.ok("lint", "short-links")

    check = repository / "short-links/checks/test_redis_count.py"
    check.write_text(check.read_text() + "\n")
    labs_toml = repository / "short-links/lab.toml"
    labs_toml.write_text(labs_toml.read_text().replace('title = "Links live in Redis"', 'title = "Links live there"'))
    second = commit(repository)
    assert "Links live in Redis" in labs.ok("info", "short-links")
    seen = labs.json("update", "--dry-run")["data"]["labs"][0]
    assert (seen["from"], seen["to"], seen["changed"]) == (first, second, ["redis/store", "redis/count"])
    assert "Links live in Redis" in labs.ok("info", "short-links")
    labs.ok("update", "short-links", "--yes")
    assert "Links live there" in labs.ok("info", "short-links")
    assert "up to date" in labs.ok("update")
    copies = {path.parent.name for path in (find_home(labs.environment).data / "labs").glob("*/*")}
    assert copies == {second[:16]}


def test_a_tag_or_commit_is_what_one_gets(labs: Labs, repository: Path) -> None:
    """Also a commit that the server does not give by its name."""
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "v1")
    commit(repository, "later")

    assert labs.json("add", f"{repository.as_uri()}@v1", "--yes")["data"]["commit"] == first
    assert "up to date" in labs.ok("update")
    assert labs.json("add", f"{repository.as_uri()}@{first}")["data"]["commit"] == first, "trusted already"
    assert said(labs, "add", f"{repository.as_uri()}@v2")[:2] == (3, "unknown-ref")


def test_a_folder_and_a_repository_that_is_itself_a_lab(labs: Labs, repository: Path) -> None:
    """A plain folder is copied at the hash of its files; a lab at the top has the repository's name."""
    lab = repository / "short-links"
    assert labs.json("add", str(lab), "--yes")["data"]["commit"].startswith("files-")
    other = lab.parent.parent / "other-links.git"
    git(repository, "init", "--quiet", "-b", "main", str(other.with_suffix("")))
    write(other.with_suffix(""), lab_files("other-links"))
    commit(other.with_suffix(""))
    git(repository, "clone", "--quiet", "--bare", str(other.with_suffix("")), str(other))

    assert labs.json("add", str(other), "--yes")["data"]["labs"] == ["other-links"]
    assert said(labs, "add", repository.as_uri(), "--yes")[1] == "lab-exists", "another source has this name"


@pytest.mark.parametrize("kind", ["repository", "folder", "top"])
def test_a_learners_copy_has_no_solutions_and_a_proof_fetches_them(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A server that runs the lab's own solution would pass. They come from the commit that was added, not a later one."""
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    lab = repository / "short-links"
    if kind == "top":
        git(lab, "init", "--quiet", "-b", "main")
        commit(lab)
    url = repository.as_uri() if kind == "repository" else str(lab)
    labs = Labs(tmp_path / "home", "embedded")
    commit_then = labs.json("add", url, "--yes")["data"]["commit"]
    copy = folder_of(find_home(), commit_then, "short-links")

    assert (copy / "checks").is_dir()
    assert not (copy / "solutions").exists()

    answer_then = (lab / "solutions/accepted/python/server.py").read_text()
    (tmp_path / "one").mkdir()
    fetched = fetch_solutions(find_home(), copy, tmp_path / "one")
    assert fetched is not None
    assert (fetched / "accepted/python/server.py").read_text() == answer_then
    assert read_solutions(fetched).accepted == ("python",)
    assert fetch_solutions(find_home(), lab, tmp_path / "none") is None

    (lab / "solutions/accepted/python/server.py").write_text("print('later')\n")
    (tmp_path / "two").mkdir()
    if kind == "folder":
        with pytest.raises(EnvironmentFault) as caught:
            fetch_solutions(find_home(), copy, tmp_path / "two")
        assert (caught.value.code, caught.value.hint) == ("source-changed", "labs update short-links")
    else:
        commit(lab if kind == "top" else repository)
        fetched = fetch_solutions(find_home(), copy, tmp_path / "two")
        assert fetched is not None
        assert (fetched / "accepted/python/server.py").read_text() == answer_then


def test_trust_is_explained_and_asked_once(labs: Labs, repository: Path) -> None:
    """Without a terminal only --yes is an answer; nothing is left of what was not trusted."""
    done = labs.run("add", repository.as_uri())

    assert done.returncode == 2
    assert "They run on this machine as you" in done.stderr
    assert f"labs add {repository.as_uri()} --yes" in done.stderr
    assert list((find_home(labs.environment).data / "labs").glob("*/*")) == []
    labs.ok("add", repository.as_uri(), "--yes")
    again = labs.run("add", repository.as_uri())
    assert (again.returncode, "programs" in again.stderr) == (0, False)


def test_a_repository_is_reached_by_the_persons_own_settings(labs: Labs, repository: Path, tmp_path: Path) -> None:
    """A private course behind another address, or behind an ssh command of one's own: as `git clone` reaches it."""
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[url "{repository.parent.as_uri()}/"]\n\tinsteadOf = https://git.example/course/\n')
    rewritten = dataclasses.replace(labs, extra={"GIT_CONFIG_GLOBAL": str(settings)})
    assert "short-links" in rewritten.ok("add", f"https://git.example/course/{repository.name}", "--yes")

    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    own = dataclasses.replace(labs, home=tmp_path / "other", extra={"GIT_SSH_COMMAND": str(ssh)})
    assert "short-links" in own.ok("add", f"ssh://git@git.example{repository}", "--yes")


def test_a_persons_proxy_and_credential_helper_are_asked(labs: Labs, tmp_path: Path) -> None:
    """A course in a company's network: its proxy is reached, with the password that the helper has, as by `git clone`."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        def refuse() -> None:
            head = b"the first"
            while head:
                connection, _ = proxy.accept()
                with connection:
                    head = connection.recv(65536)
                    heads.append(head)
                    with contextlib.suppress(OSError):
                        connection.sendall(b"HTTP/1.1 503 No way\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        settings = tmp_path / "gitconfig"
        settings.write_text(f"""
[http]
    proxy = http://me@127.0.0.1:{proxy.getsockname()[1]}
    proxyAuthMethod = basic
[credential]
    helper = "!f() {{ test $1 = get && echo password=of-the-helper; }}; f"
""")
        own = dataclasses.replace(labs, extra={"GIT_CONFIG_GLOBAL": str(settings)})
        code, kind, _ = said(own, "add", "https://git.example/course/labs", "--yes")
        socket.create_connection(proxy.getsockname()).close()
        thread.join(10)

    assert (code, kind) == (3, "fetch-failed")
    assert heads[0].startswith(b"CONNECT git.example:443 ")
    assert b"Basic " + base64.b64encode(b"me:of-the-helper") in heads[0]


def test_a_hostile_repository_runs_nothing_and_adds_nothing(labs: Labs, repository: Path, tmp_path: Path) -> None:
    """Hooks and filters have no part in it; links, submodules, large files, odd paths are refused, all at once."""
    mark = tmp_path / "ran"
    for hook in ("post-checkout", "post-merge", "reference-transaction"):
        (repository / ".git/hooks" / hook).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (repository / ".git/hooks" / hook).chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=evil\n")
    commit(repository)
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[filter "evil"]\n\tsmudge = touch {mark}\n\tclean = cat\n\trequired = true\n')
    labs = dataclasses.replace(labs, extra={"GIT_CONFIG_GLOBAL": str(settings)})
    mark.unlink(missing_ok=True)
    labs.ok("add", repository.as_uri(), "--yes")
    assert not mark.exists()

    inner = tmp_path / "inner"
    git(tmp_path, "init", "--quiet", str(inner))
    commit(inner)
    (repository / "short-links/link").symlink_to("/etc/passwd")
    (repository / "short-links/large").write_bytes(b"x" * 5_000_001)
    (repository / "short-links/README.MD").write_text("two")
    git(repository, "submodule", "--quiet", "add", str(inner), "module")
    commit(repository)
    code, kind, text = said(labs, "update", "--yes")

    assert (code, kind) == (4, "lab-invalid")
    for words in ("short-links/link: is a link", "short-links/large: is larger than 5 MB", "module: is a submodule",
                  "differs from", "only in case"):
        assert words in text
    assert "Links live in Redis" in labs.ok("info", "short-links"), "the one that was there stays"


@pytest.mark.parametrize(("change", "words"), [
    (lambda lab: (lab / "lab.toml").write_text("format = 1\ntitel = 3\n"), "unknown key titel"),
    (lambda lab: (lab / "lab.toml").unlink(), "there is no lab in"),
    (lambda lab: lab.rename(lab.parent / "My Lab"), "lower-case"),
    (lambda lab: (lab / "lab.toml").write_bytes(b"\xff\xfe"), "UTF-8"),
])
def test_what_is_no_lab_is_not_added(labs: Labs, repository: Path, change: object, words: str) -> None:
    """One clear answer, exit 4, nothing left."""
    change(repository / "short-links")  # type: ignore[operator]
    commit(repository)
    code, _, text = said(labs, "add", repository.as_uri(), "--yes")

    assert code == 4
    assert words in text
    assert read_added(find_home(labs.environment)) == {}
    assert list((find_home(labs.environment).data / "labs").glob("*/*")) == []


@pytest.mark.parametrize(("text", "url", "ref"), [
    ("https://host/org/repo", "https://host/org/repo", ""), ("https://host/org/repo@v1.0", "https://host/org/repo", "v1.0"),
    ("https://me@host/org/repo.git", "https://me@host/org/repo.git", ""),
    ("git@host:org/repo@main", "git@host:org/repo", "main"), ("ssh://git@host/org/repo", "ssh://git@host/org/repo", ""),
])
def test_addresses(text: str, url: str, ref: str) -> None:
    """The last @ after the last slash is the ref; the one before a host is not."""
    assert (parse_source(text).url, parse_source(text).ref) == (url, ref)


@pytest.mark.parametrize("text", ["--upload-pack=touch x", "ext::sh -c touch", "https://host/repo@--help", "http://host/r",
                                  "nowhere", "https://host/a\nb", "file::/x", ""])
def test_addresses_that_git_must_not_get(text: str) -> None:
    """Options, helpers, unprotected ways: refused with the next command."""
    with pytest.raises(UsageError) as caught:
        parse_source(text)

    assert caught.value.code == "bad-source"
    assert caught.value.hint


def test_trouble_on_the_way_has_a_name(labs: Labs, repository: Path, tmp_path: Path) -> None:
    """No repository there, no git; an update of what was never added."""
    assert said(labs, "add", (tmp_path / "nothing").as_uri(), "--yes")[:2] == (3, "fetch-failed")
    bare = dataclasses.replace(labs, extra={"PATH": str(tmp_path)})
    assert said(bare, "add", repository.as_uri(), "--yes")[:2] == (3, "no-git")
    assert said(labs, "update", "short-links")[:2] == (2, "not-added")
    assert "no labs were added" in labs.ok("update")
    assert said(labs, "add", "databases")[:2] == (2, "bad-source")


def test_ours_are_never_replaced(labs: Labs, tmp_path: Path) -> None:
    """A lab of one of our names is refused."""
    write(tmp_path / "databases", lab_files("databases"))

    assert said(labs, "add", str(tmp_path / "databases"), "--yes")[1] == "lab-exists"


def test_an_interruption_leaves_the_old_or_the_new(labs: Labs, repository: Path) -> None:
    """Killed while it asks a slow git: nothing was added, and the next command works."""
    slow = labs.home.parent / "bin"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nsleep 60\n")
    (slow / "git").chmod(0o755)
    process = dataclasses.replace(labs, extra={"PATH": f"{slow}:{os.environ['PATH']}"}).popen(
        "add", repository.as_uri(), "--yes")
    until(lambda: subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, check=False).stdout, seconds=20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert process.returncode == 130
    assert read_added(find_home(labs.environment)) == {}
    labs.ok("add", repository.as_uri(), "--yes")


def test_a_lab_that_moved_is_removed_and_added_again(labs: Labs, repository: Path, tmp_path: Path) -> None:
    """From elsewhere it is refused as long as the old one is there; removed, its source is asked about anew."""
    moved = tmp_path / "moved"
    labs.ok("add", repository.as_uri(), "--yes")
    repository.rename(moved)
    refused = labs.json("add", moved.as_uri(), "--yes")

    assert refused["errors"][0]["code"] == "lab-exists"
    assert "labs remove short-links" in json.dumps(refused["errors"])
    assert said(labs, "remove", "short-link")[1] == "not-added"
    assert repository.as_uri() in labs.ok("remove", "short-links")
    assert not list((find_home(labs.environment).data / "labs").glob("*/*"))
    assert said(labs, "add", moved.as_uri())[1] == "not-trusted"
    labs.ok("add", moved.as_uri(), "--yes")
    assert read_added(find_home(labs.environment))["short-links"].url == moved.as_uri()


def test_a_workflow_of_an_added_lab_adds_it(labs: Labs, repository: Path, tmp_path: Path) -> None:
    """At the commit that is here: GitHub's machine has no lab but ours."""
    labs.ok("add", repository.as_uri(), "--yes")
    labs.ok("init", "short-links", str(tmp_path / "mine"), "--language", "python", "--ci", "github")
    text = (tmp_path / "mine/.github/workflows/labs.yml").read_text()

    assert f"labs add {repository.as_uri()}@{git(repository, 'rev-parse', 'HEAD')} --yes" in text


def test_a_lab_without_a_starter_says_so(labs: Labs, repository: Path, tmp_path: Path) -> None:
    """It is a mistake of the lab's, not of ours, and nothing is written."""
    for path in sorted((repository / "short-links/starter").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    commit(repository)
    labs.ok("add", repository.as_uri(), "--yes")

    code, kind, text = said(labs, "init", "short-links", str(tmp_path / "mine"), "--language", "python")
    assert (code, kind) == (2, "no-starter")
    assert "ask its author" in text
    assert not (tmp_path / "mine").exists()
