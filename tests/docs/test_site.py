"""The site: made of every page, and of none that leads nowhere."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from mkdocs.exceptions import MkDocsException

from docs.site.build import build
from docs.site.tree import copy_pages
from tests.docs.pages import pages
from tests.support.project import REPOSITORY

_BLOCK = re.compile(r"ul|ol|li|table|tr|th|td|pre|blockquote|hr|h[1-6]")
_LOADED = {"src", "srcset", "href", "data", "poster"}
_CODE = re.compile(r"<pre.*?</pre>|<code.*?</code>", re.S)
_NO_LIST = re.compile(r"(?:^|<p>|<li>)[ \t]*(?:[-*+] |\| |1[.)] |```).*", re.M)
_ELSEWHERE = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")
HINT = "a list or table wants a blank line above, and what is in an item of a list four blanks"

TREE = {
    "README.md": "# Front\n\n[A heading](docs/more.md#a-heading-plan-and-up_now)\n",
    "docs/more.md": "# More\n\n## A heading: `plan`, and `up_now`\n\n[back](../README.md#front)\n",
    "src/one.py": "ONE = 1\n",
    "src/.hidden/two.py": "TWO = 2\n",
    ".gitignore": "build/\n",
    "build/made.txt": "made\n",
}
NAV = "\nnav:\n  - README.md\n  - docs/*.md\n"


class Reader(HTMLParser):
    """Blocks with their text, identifiers, and what is linked to or loaded."""

    def __init__(self, html: str, *, within: str = "") -> None:
        super().__init__()
        self.blocks = [["", ""]]
        self.identifiers: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self._within = within
        self._reads = not within
        self.feed(html)

    def outline(self) -> list[tuple[str, str]]:
        return [(tag, " ".join(text.replace("¶", "").split())) for tag, text in self.blocks]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._reads = self._reads or tag == self._within
        self._block(f"<{tag}>", tag)
        for name, value in attrs:
            if name == "id" and value:
                self.identifiers.add(value)
            if name in _LOADED and value:
                (self.links if tag == "a" else self.loaded).append(value)

    def handle_endtag(self, tag: str) -> None:
        self._block(f"</{tag}>", tag)
        self._reads = self._reads and tag != self._within

    def handle_data(self, data: str) -> None:
        if self._reads:
            self.blocks[-1][1] += data

    def _block(self, name: str, tag: str) -> None:
        if self._reads and _BLOCK.fullmatch(tag):
            self.blocks.append([name, ""])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("site")
    build(REPOSITORY, output)
    return output


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository with the looks and the rules of this one."""
    root = tmp_path / "tree"
    shutil.copytree(REPOSITORY / "docs/site/theme", root / "docs/site/theme")
    settings = (REPOSITORY / "docs/site/mkdocs.yml").read_text("utf-8").partition("\nnav:")[0]
    for name, text in {**TREE, "docs/site/mkdocs.yml": settings + NAV}.items():
        write(root / name, text)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def made_of(page: str) -> str:
    """Where the site has a page."""
    path = Path(page)
    return str(path.with_name("index.html" if path.name == "README.md" else f"{path.stem}.html"))


def test_every_page_is_on_the_site(site: Path) -> None:
    assert {made_of(page) for page in pages()} | {"404.html"} == {
        str(page.relative_to(site)) for page in site.rglob("*.html")
    }


def test_the_site_has_the_lists_tables_and_code_that_a_code_host_shows(site: Path) -> None:
    github = MarkdownIt("commonmark").enable("table")
    for page in pages():
        there = Reader(github.render((REPOSITORY / page).read_text("utf-8")))
        here = Reader((site / made_of(page)).read_text("utf-8"), within="article")
        assert here.outline()[1:] == there.outline()[1:], f"{page}: {HINT}"


def test_no_list_and_no_table_is_left_as_text(site: Path) -> None:
    for page in pages():
        html = _CODE.sub("`", (site / made_of(page)).read_text("utf-8"))
        assert _NO_LIST.findall(html) == [], f"{page}: {HINT}"


def test_every_link_of_a_made_page_leads_somewhere(site: Path) -> None:
    read = {page: Reader(page.read_text("utf-8")) for page in site.rglob("*.html")}
    for page, seen in read.items():
        for link in (*seen.links, *seen.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            start = site if parts.path.startswith("/") else page.parent
            target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), (page, link)
            if parts.fragment and target in read:
                assert unquote(parts.fragment) in read[target].identifiers, (page, link)


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        html = page.read_text("utf-8")
        assert [link for link in Reader(html).loaded if re.match(r"[a-z]+:|//", link)] == [], page
        assert _ELSEWHERE.findall(html) == [], page
    for sheet in site.rglob("*.css"):
        assert _ELSEWHERE.findall(sheet.read_text("utf-8")) == [], sheet


@pytest.mark.parametrize(
    ("page", "text", "complaint"),
    [
        pytest.param(
            "docs/more.md", "[x](nothing.md)", "link 'nothing.md', but the target", id="page"
        ),
        pytest.param("README.md", "[x](src/two.py)", "link 'src/two.py', but the", id="file"),
        pytest.param("README.md", "[x](srv)", "unrecognized relative link 'srv'", id="directory"),
        pytest.param("README.md", "[x](/src/one.py)", "absolute link '/src/one.py'", id="absolute"),
        pytest.param("README.md", "![x](docs/x.svg)", "link 'docs/x.svg', but the", id="image"),
        pytest.param("README.md", "[x](build/made.txt)", "link 'build/made.txt'", id="ignored"),
        pytest.param("README.md", "[x][1]\n\n[1]: no.md", "link 'no.md', but the", id="reference"),
        pytest.param(
            "README.md", "[x](docs/more.md#b)", "does not contain an anchor '#b'", id="anchor"
        ),
        pytest.param("README.md", "[x](#b)", "there is no such anchor on this page", id="own"),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(
    tree: Path, caplog: pytest.LogCaptureFixture, page: str, text: str, complaint: str
) -> None:
    write(tree / page, f"{TREE[page]}\n{text}\n")
    refused(tree, caplog, complaint)


def test_a_page_that_has_no_place_fails_the_build(
    tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tree / "src" / "new.md", "# New\n")
    refused(tree, caplog, 'not included in the "nav" configuration:\n  - src/new.md')


@pytest.mark.parametrize("entry", ["docs/gone.md", "docs/gone/*.md"])
def test_a_place_that_has_no_page_fails_the_build(
    tree: Path, caplog: pytest.LogCaptureFixture, entry: str
) -> None:
    with (tree / "docs/site/mkdocs.yml").open("a", encoding="utf-8") as settings:
        settings.write(f"  - {entry}\n")
    refused(tree, caplog, f"A reference to '{entry}' is included in the 'nav' configuration")


def refused(tree: Path, caplog: pytest.LogCaptureFixture, complaint: str) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(MkDocsException, match="1 warnings"):
        build(tree, tree.parent / "site")
    assert complaint in caplog.text


def test_a_pattern_stands_for_its_pages_in_order(tree: Path) -> None:
    for name in ("b", "a"):
        write(tree / f"docs/{name}.md", f"# The page {name}\n")
    build(tree, tree.parent / "site")
    front = (tree.parent / "site/index.html").read_text("utf-8")
    assert re.findall(r'href="docs/(\w+)\.html" class="md-nav', front) == ["a", "b", "more"]


def test_a_link_to_a_file_or_a_directory_leads_to_what_is_there(tree: Path) -> None:
    site = tree.parent / "site"
    write(
        tree / "docs/more.md", f"{TREE['docs/more.md']}\n[1](../src) [2](../) [3](<../src/one.py>)"
    )
    build(tree, site)
    links = Reader((site / "docs/more.html").read_text("utf-8"), within="article").links
    assert links[-3:] == ["../src/index.html", "../index.html", "../src/one.py"]
    listed = Reader((site / "src/index.html").read_text("utf-8"), within="article").links
    assert {".hidden/two.py", "one.py"} <= set(listed)
    assert (site / "src/one.py").read_text("utf-8") == TREE["src/one.py"]
    assert (site / "src/.hidden/two.py").is_file()


def test_a_bar_in_the_code_of_a_table_is_a_bar(tree: Path) -> None:
    site = tree.parent / "site"
    write(tree / "README.md", "# Front\n\n| a | b |\n|---|---|\n| `x \\| y` | \\| |\n\n`\\|`\n")
    build(tree, site)
    html = (site / "index.html").read_text("utf-8")
    assert re.findall(r"<td>(.*?)</td>", html) == ["<code>x | y</code>", "|"]
    assert r"<p><code>\|</code></p>" in html


def test_what_looks_like_a_link_in_a_block_of_code_stays_as_it_is(
    tree: Path, tmp_path: Path
) -> None:
    write(tree / "README.md", "# Front\n\n```text\n[x](src)\n```\n\n[x](src)\n")
    assert copy_pages(tree, tmp_path / "copy") == ["src/README.md"]
    copied = (tmp_path / "copy/README.md").read_text("utf-8")
    assert copied == "# Front\n\n```text\n[x](src)\n```\n\n[x](src/README.md)\n"


def test_a_page_that_is_deleted_and_still_tracked_is_no_page(tree: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "add", "docs/more.md"], cwd=tree, check=True)
    (tree / "docs/more.md").unlink()
    copy_pages(tree, tmp_path / "copy")
    assert [page.name for page in (tmp_path / "copy").rglob("*.md")] == ["README.md"]


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "precious.txt", "precious\n")
    command = [sys.executable, "-m", "docs.site", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds something else than a site" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
