"""Checkpoints that run code when they are unpickled, or when MMEngine runs the configuration inside."""
import os
from pathlib import Path

import torch


class Payload:
    """Makes a folder as soon as it is unpickled.

    Args:
        marker: the folder.
    """

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker), )


def hide_payload(checkpoint: Path | None, target: Path, marker: Path) -> Path:
    """A copy of a checkpoint that makes ``marker`` when it is unpickled.

    Args:
        checkpoint: a file of ours; None for an empty one.
        target: the copy.
        marker: folder that does not exist.
    """
    content = torch.load(checkpoint, weights_only=False) if checkpoint else {'state_dict': {}}
    torch.save({**content, 'extra': Payload(marker)}, target)
    return target


def hide_config(checkpoint: Path, target: Path, marker: Path) -> Path:
    """A copy of a checkpoint without objects, whose configurations make ``marker`` when they are run.

    Args:
        checkpoint: what training saved.
        target: the copy.
        marker: folder that does not exist.
    """
    content = torch.load(checkpoint, weights_only=False)
    code = f'import os\nos.mkdir({str(marker)!r})\nmodel = dict()\n'
    content['meta'].update(config=code, cfg=code)
    content['message_hub']['runtime_info']['cfg'] = code
    torch.save(content, target)
    return target
