"""What the command lines of the tools share."""
import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mmengine.config import DictAction

from rsc_mm.utils.checkpoint import trust_checkpoint

PACKAGE = str(Path(__file__).parents[1])


def tool_parser(description: str) -> argparse.ArgumentParser:
    """A command line with the description as it stands, --cfg-options and --trust-checkpoint.

    Args:
        description: the tool's docstring.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override fields of the configuration, e.g. data_root=/data/coco')
    add_trust(parser)
    return parser


def compared_checkpoints(parser: argparse.ArgumentParser) -> None:
    """Add --config, --checkpoints and --names, which `rsc_mm.apis.features.load_several` reads.

    Args:
        parser: changed in place.
    """
    parser.add_argument('--config', nargs='+', required=True, help='configuration: one for all or one for each')
    parser.add_argument('--checkpoints', nargs='+', required=True, help='weights of the towers, or of Refiners')
    parser.add_argument('--names', nargs='+', help='a title for each checkpoint; default: the file names')


def positive(text: str) -> int:
    """A whole number of at least 1, as a type of argparse.

    Args:
        text: of the command line.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected a whole number of at least 1')
    return int(text)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add --trust-checkpoint, which calls `rsc_mm.utils.checkpoint.trust_checkpoint`.

    Args:
        parser: changed in place.
    """
    parser.add_argument('--trust-checkpoint', action='append', type=trust_checkpoint, metavar='FILE',
                        help='read this file even if it holds other objects than tensors and plain values: CODE INSIDE '
                             'IT THEN RUNS with your rights. For your own old files only')


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool; an error about its input ends in its message and exit status 1, not in a traceback.

    Errors about the input are every OSError, and the ValueError, TypeError, RuntimeError and ImportError that this
    package, the tool, or a module beside it raises itself. Any other error keeps its traceback.

    Args:
        main: the tool.
    """
    try:
        main()
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        own = last.filename.startswith((PACKAGE, str(Path(main.__code__.co_filename).parent)))
        # A `raise` of ours has a message for the user; int('x') in a line of ours is a defect.
        if isinstance(error, OSError) or (own and (last.line or '').startswith('raise ')):
            sys.exit(str(error))
        raise
