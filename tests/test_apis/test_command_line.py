import pytest

from rsc_mm.apis.command_line import run_tool
from rsc_mm.models.text import read_class_names


def test_errors_about_the_input_are_one_line(tmp_path):
    with pytest.raises(SystemExit, match="class names 'nothing.txt': found neither such a file nor such a vocabulary"):
        run_tool(lambda: read_class_names('nothing.txt'))
    with pytest.raises(SystemExit, match='No such file or directory'):
        run_tool(lambda: (tmp_path / 'nothing').read_text())

    def main() -> None:
        raise ValueError('--size: found 0')

    with pytest.raises(SystemExit, match='--size: found 0'):
        run_tool(main)


def test_a_module_beside_the_tool_is_a_part_of_it(tmp_path):
    (tmp_path / 'helper.py').write_text("def check():\n    raise ValueError('--side: found 3')\n")
    (tmp_path / 'tool.py').write_text('def main():\n    check()\n')
    helper, tool = ({} for _ in range(2))
    exec(compile((tmp_path / 'helper.py').read_text(), tmp_path / 'helper.py', 'exec'), helper)  # noqa: S102
    exec(compile((tmp_path / 'tool.py').read_text(), tmp_path / 'tool.py', 'exec'), tool)  # noqa: S102
    tool['check'] = helper['check']
    with pytest.raises(SystemExit, match='--side: found 3'):
        run_tool(tool['main'])


def test_other_errors_keep_their_traceback():
    with pytest.raises(ValueError, match='invalid literal'):
        run_tool(lambda: int('x'))
    with pytest.raises(KeyError):
        run_tool(lambda: {}['missing'])
