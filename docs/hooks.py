"""What the site adds to the files of docs/: pages that stand beside the code, numbers of the metafiles, equations.

A page keeps its path in the repository, without ``docs/``: the README of ``configs/rsc`` is ``configs/rsc/README.md``.
Links are written as they work in the repository and are rewritten here.
"""
import html
import re
from pathlib import Path

from latex2mathml.converter import convert
from measured import measured_tables
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = ('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'configs/*/README.md', 'projects/*/README.md')
LINK = re.compile(r'\]\((?!\w+:)([^)#\s]+)')  # of a file
EQUATION = re.compile(r'<(span|div) class="arithmatex">(.+?)</\1>', re.S)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Families and projects that mkdocs.yml does not list stand at the end of their section."""
    listed = re.findall(r"'([^']+\.md)'", str(config.nav))
    for title, pattern in (('Tasks', 'configs/*/README.md'), ('Projects', 'projects/*/README.md')):
        section = next(item[title] for item in config.nav if title in item)
        names = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob(pattern))]
        section += [name for name in names if name not in listed]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages of the repository outside docs/."""
    for path in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, content=path.read_text(encoding='utf-8')))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of the repository become those of the site, and ``<!-- measured: CONFIGS -->`` their table."""
    beside_code = is_beside_code(page.file.src_uri)
    return measured_tables(LINK.sub(lambda match: f']({site_link(match[1], beside_code)}', markdown))


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Equations as MathML, which browsers draw without a script from elsewhere."""
    return EQUATION.sub(mathml, content)


def is_beside_code(name: str) -> bool:
    """Whether a page stands outside docs/ in the repository."""
    return (ROOT / name).is_file()


def site_link(link: str, beside_code: bool) -> str:
    """A page of docs/ is a level higher in the site than in the repository."""
    return re.sub(r'^((?:\.\./)*)docs/', r'\1', link) if beside_code else re.sub(
        r'^\.\./((?:\.\./)*(?:configs|projects|[A-Z]+\.md))', r'\1', link)


def mathml(match: re.Match) -> str:
    """``\\(x\\)`` or ``\\[x\\]`` of arithmatex as a formula within the line or on its own."""
    tex = html.unescape(match[2].strip())
    return convert(tex[2:-2], display='block' if match[1] == 'div' else 'inline')
