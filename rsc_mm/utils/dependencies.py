"""Checks of the OpenMMLab host libraries, each of which two distributions provide under one import name; extras."""
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from packaging.specifiers import SpecifierSet

# import name -> {distribution: accepted versions}: the maintained build first, then the official one.
# The maintained ranges are those of the extras in setup.py.
DISTRIBUTIONS = {
    'mmengine': {'onedl-mmengine': '>=0.10.8,<0.11', 'mmengine': '>=0.10.4,<0.11'},
    'mmcv': {'onedl-mmcv': '>=2.3,<2.4', 'mmcv': '>=2.0,<2.2'},
    'mmdet': {'onedl-mmdetection': '>=3.5,<3.6', 'mmdet': '>=3.3,<3.4'},
    'mmseg': {'onedl-mmsegmentation': '>=1.4,<1.5', 'mmsegmentation': '>=1.2.2,<1.3'},
}
INSTALL = {
    'mmengine': "pip install 'onedl-mmengine>=0.10.8,<0.11' (or mmengine, the official build)",
    'mmcv': "`bash tools/setup_env.sh all` builds it, or pip install 'mmcv>=2.0,<2.2' with the official packages",
    'mmdet': "pip install -e '.[onedl,det]' (or mmdet>=3.3,<3.4 with the official packages)",
    'mmseg': "pip install -e '.[onedl,seg]' (or mmsegmentation>=1.2.2,<1.3 with the official packages)",
}


def installed_distributions(name: str) -> dict[str, str]:
    """Lists which distributions of a host library are installed.

    Args:
        name: import name, a key of ``DISTRIBUTIONS``.

    Returns:
        distribution name -> version, empty when there is none.
    """
    found = {}
    for distribution in DISTRIBUTIONS[name]:
        try:
            found[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


def require(name: str) -> str:
    """Makes sure that exactly one accepted distribution of a host library is installed.

    Both builds of a library write to the same folder, so two of them at once leave a mixture: that is an error too.

    Args:
        name: 'mmengine', 'mmcv' (with its compiled operators), 'mmdet' or 'mmseg'.

    Returns:
        The version found.

    Raises:
        ImportError: in one line, what was found, what is needed and how to get it.
        KeyError: the name is not a host library.
    """
    found = installed_distributions(name)
    accepted = DISTRIBUTIONS[name]
    needed = ' or '.join(f'{distribution}{versions}' for distribution, versions in accepted.items())
    if len(found) != 1:
        names = ' and '.join(f'{key} {value}' for key, value in found.items()) or 'none'
        first = f'pip uninstall -y {" ".join(found)}, then ' if found else ''
        raise ImportError(f'rsc_mm needs one of the distributions of {name}. Found: {names}. Needed: {needed}. '
                          f'How: {first}{INSTALL[name]}')
    (distribution, value), = found.items()
    if not SpecifierSet(accepted[distribution]).contains(value, prereleases=True):
        raise ImportError(f'rsc_mm needs another version of {name}. Found: {distribution} {value}. Needed: {needed}. '
                          f'How: {INSTALL[name]}')
    if name == 'mmcv':
        require_operators(f'{distribution} {value}')
    return value


def require_operators(found: str) -> None:
    """Makes sure that mmcv's compiled operators load.

    Args:
        found: distribution and version, for the message.

    Raises:
        ImportError: they were not built, or were built for another version of PyTorch.
    """
    try:
        import_module('mmcv._ext')
    except ImportError as error:
        raise ImportError(f'rsc_mm needs the compiled operators of mmcv. Found: {found}, whose mmcv._ext does not load '
                          f'({error}). Needed: a build for the installed PyTorch. How: {INSTALL["mmcv"]}') from error


def optional_module(name: str, distribution: str, purpose: str, extra: str = 'vis') -> ModuleType:
    """A module that the core does not need.

    Args:
        name: import name, such as 'sklearn.metrics'.
        distribution: what provides it, for the message.
        purpose: what needs it, for the message.
        extra: of this package that installs it.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {distribution}, which is not installed. How: pip install -e '.[{extra}]'") \
            from error
