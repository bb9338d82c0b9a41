import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def run_tool(arguments: list[str], status: int = 0, **environment: str) -> str:
    """Run a tool in the repository's root and return what it printed; fails on another exit status."""
    result = subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env={**os.environ, **environment},
                            capture_output=True, text=True)
    output = result.stdout + result.stderr
    assert result.returncode == status, output[-3000:]
    return output
