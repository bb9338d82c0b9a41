import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).parents[2]


def load_tool(name: str) -> ModuleType:
    """A tool as a module, by its path below tools/ without ending."""
    path = REPOSITORY / 'tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(f'tool_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling look their module up
    spec.loader.exec_module(module)
    return module


def run_tool(arguments: list[str], status: int = 0, **environment: str) -> str:
    """Run a tool in the repository's root and return what it printed; fails on another exit status."""
    result = subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env={**os.environ, **environment},
                            capture_output=True, text=True)
    output = result.stdout + result.stderr
    assert result.returncode == status, output[-3000:]
    return output
