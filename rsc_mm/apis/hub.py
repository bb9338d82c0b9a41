"""Published folders from the Hugging Face hub, as 'hf-hub:owner/name'."""
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

PREFIX = 'hf-hub:'
FILES = ['config.json', '*.safetensors']
"""What of a repository is downloaded."""


def is_hub_name(source: str | Path) -> bool:
    """Whether something names a repository of the hub.

    Args:
        source: as `rsc_mm.load` takes it.
    """
    return isinstance(source, str) and source.startswith(PREFIX)


def download(source: str) -> Path:
    """The folder of a repository, from the hub or, if it was downloaded before, from huggingface_hub's own cache.

    Args:
        source: 'hf-hub:owner/name', or 'hf-hub:owner/name@revision' for a branch, tag or commit.

    Returns:
        The folder in the cache.

    Raises:
        ValueError: it is no name of a repository, or nothing that this package published is in it.
        FileNotFoundError: there is no such repository or revision, or it is not open to this user.
        ConnectionError: the hub cannot be reached, and the repository is not in the cache.
    """
    repository, _, revision = source.removeprefix(PREFIX).partition('@')
    instead = f"A folder that was downloaded elsewhere (hf download {repository}) is loaded by its path: " \
              "rsc_mm.load('FOLDER')"
    try:
        folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=FILES))
    except HFValidationError as error:
        raise ValueError(f"{source}: found the repository {repository!r}, expected 'hf-hub:owner/name' or "
                         f"'hf-hub:owner/name@revision' ({error})") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
        raise FileNotFoundError(f'{source}: asked the hub for the repository {repository!r}'
                                f'{f" at {revision!r}" if revision else ""}, found none that is open to you '
                                f'({type(error).__name__}); check the name, or log in with `hf auth login`. '
                                f'{instead}') from error
    except (HTTPError, ConnectionError, LocalEntryNotFoundError) as error:
        cause = error.__cause__ or error
        raise ConnectionError(f'{source}: asked the hub for the repository {repository!r}; it cannot be reached from '
                              f'this machine ({type(cause).__name__}: {str(cause).splitlines()[0][:200]}), and the '
                              f'repository is not in the cache. {instead}') from error
    if not (folder / 'config.json').is_file():
        raise ValueError(f'{source}: found no config.json in the repository, expected a folder that '
                         'tools/converters/publish_backbone.py wrote; weights of other codes are loaded with their '
                         'configuration: rsc_mm.load(CONFIG, checkpoint=FILE)')
    return folder
