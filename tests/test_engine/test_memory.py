import subprocess
import sys
from pathlib import Path

import pytest

MEMORY = Path(__file__).parents[2] / 'rsc_mm' / 'engine' / 'memory.py'
PROGRAM = """
import runpy, sys, types
sys.modules['mmengine.device'] = types.SimpleNamespace(get_device=None)  # not needed here, and seconds to import
keep = runpy.run_path(sys.argv[1])['keep_freed_memory']
resident = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096
if sys.argv[2] == 'keep':
    assert keep()
before = resident()
block = bytearray(b'x') * (64 << 20)
del block
print(resident() - before)
"""


@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='resident memory is read from /proc')
@pytest.mark.parametrize('setting, kept', [('keep', True), ('leave', False)])
def test_freed_memory_is_kept(setting: str, kept: bool) -> None:
    output = subprocess.run([sys.executable, '-c', PROGRAM, str(MEMORY), setting], capture_output=True, text=True,
                            check=True).stdout
    assert (int(output) > 60 << 20) is kept
