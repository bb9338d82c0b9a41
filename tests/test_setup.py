"""The ground under the package: requirements, host library checks, the scripts of the README."""
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rsc_mm.utils import dependencies

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / 'docs').rglob('*.md'))
PIN = re.compile(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+( ; python_version (<|>=) '3\.11')?")


@pytest.fixture
def setup_arguments(monkeypatch) -> dict:
    """What setup.py passes to setuptools."""
    found = {}
    monkeypatch.setattr('setuptools.setup', lambda **kwargs: found.update(kwargs))
    source = (ROOT / 'setup.py').read_text()
    exec(compile(source, str(ROOT / 'setup.py'), 'exec'), {'__file__': str(ROOT / 'setup.py'), '__name__': 'setup'})
    return found


def constraints() -> list[Requirement]:
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith('#')]


def fake_versions(monkeypatch, **installed: str) -> None:
    names = {name.replace('_', '-'): value for name, value in installed.items()}

    def version(name: str) -> str:
        if name not in names:
            raise PackageNotFoundError(name)
        return names[name]

    monkeypatch.setattr(dependencies, 'version', version)


class TestRequirements:

    def test_constraints_hold_names_and_versions_only(self):
        lines = (ROOT / 'constraints.txt').read_text().splitlines()
        assert all(PIN.fullmatch(line) for line in lines if line and not line.startswith('#'))

    def test_every_range_has_a_tested_version_inside(self, setup_arguments):
        pins = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in reversed(constraints())}
        extras = {name: lines for name, lines in setup_arguments['extras_require'].items() if name != 'openmmlab'}
        for line in sum(extras.values(), setup_arguments['install_requires']):
            requirement = Requirement(line)
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), line

    def test_host_libraries_are_never_hard_requirements(self, setup_arguments):
        names = {Requirement(line).name for line in setup_arguments['install_requires']}
        assert not names & {name for accepted in dependencies.DISTRIBUTIONS.values() for name in accepted}

    def test_extras_and_checks_accept_the_same_versions(self, setup_arguments):
        extras = [Requirement(line) for lines in setup_arguments['extras_require'].values() for line in lines]
        accepted = {name: ranges for item in dependencies.DISTRIBUTIONS.values() for name, ranges in item.items()}
        shared = [requirement for requirement in extras if requirement.name in accepted]
        assert len(shared) >= 6
        for requirement in shared:
            assert requirement.specifier == Requirement(requirement.name + accepted[requirement.name]).specifier

    def test_version_is_the_one_of_the_package(self, setup_arguments):
        import rsc_mm
        assert setup_arguments['version'] == rsc_mm.__version__


class TestRequire:

    @pytest.mark.parametrize('installed', [{'onedl_mmengine': '0.10.12'}, {'mmengine': '0.10.7'}])
    def test_either_distribution_is_accepted(self, monkeypatch, installed):
        fake_versions(monkeypatch, **installed)
        assert dependencies.require('mmengine') in installed.values()

    @pytest.mark.parametrize('name, installed, found, how', [
        ('mmengine', {}, 'Found: none.', 'pip install'),
        ('mmengine', {'mmengine': '0.9.0'}, 'Found: mmengine 0.9.0.', 'pip install'),
        ('mmengine', {'mmengine': '0.10.7', 'onedl_mmengine': '0.10.12'},
         'Found: onedl-mmengine 0.10.12 and mmengine 0.10.7.', 'pip uninstall -y onedl-mmengine mmengine, then pip'),
        ('mmdet', {'mmdet': '2.28.2'}, 'Found: mmdet 2.28.2.', "'.[onedl,det]'"),
        ('mmseg', {'mmsegmentation': '0.30.0'}, 'Found: mmsegmentation 0.30.0.', "'.[onedl,seg]'"),
        ('mmcv', {'mmcv': '1.7.2'}, 'Found: mmcv 1.7.2.', 'setup_env.sh all'),
    ])
    def test_error_says_found_needed_how_in_one_line(self, monkeypatch, name, installed, found, how):
        fake_versions(monkeypatch, **installed)
        with pytest.raises(ImportError) as error:
            dependencies.require(name)
        message = str(error.value)
        assert found in message and how in message and '\n' not in message
        assert all(f'{key}{value}' in message for key, value in dependencies.DISTRIBUTIONS[name].items())

    def test_mmcv_without_operators_is_an_error(self, monkeypatch):
        fake_versions(monkeypatch, onedl_mmcv='2.3.6')

        def no_extension(name: str) -> None:
            raise ModuleNotFoundError(f'No module named {name!r}')

        monkeypatch.setattr(dependencies, 'import_module', no_extension)
        with pytest.raises(ImportError, match=r'onedl-mmcv 2\.3\.6, whose mmcv\._ext does not load'):
            dependencies.require('mmcv')

    def test_import_without_mmengine_is_one_line(self):
        code = ('import importlib.metadata as m\n'
                'def version(name): raise m.PackageNotFoundError(name)\n'
                'm.version = version\n'
                'import rsc_mm')
        run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 1
        assert run.stderr.splitlines()[-1].startswith('ImportError: rsc_mm needs one of the distributions of mmengine.')

    def test_core_imports_without_the_host_libraries(self):
        code = ('import sys, rsc_mm.models, rsc_mm.datasets, rsc_mm.evaluation, rsc_mm.engine\n'
                'print(sorted({"mmcv", "mmdet", "mmseg"} & set(sys.modules)))')
        run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == '[]'


FAKE_PYTHON = """#!/bin/sh
# Stands for an interpreter, its venv and its pip: notes what it is asked for.
echo "$*" >> "$CALLS"
case "$*" in
  --version) echo "Python $FAKE_VERSION" ;;
  *'sys.version_info < (3, 10)'*) case $FAKE_VERSION in 3.1?.*) exit 0 ;; *) exit 1 ;; esac ;;
  *'sys.version_info[:2]'*) echo "${FAKE_VERSION%.*}" ;;
  *'import venv'*) exit "${NO_VENV:-0}" ;;
  *'-m venv'*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  -) cat > /dev/null; echo "$XDG_CACHE_HOME/cp311-torch2-cpu" ;;
  *'-m pip wheel'*)
    while [ "$1" != -w ]; do shift; done
    mkdir -p "$2"
    touch "$2/onedl_mmcv-2.3.6-cp311-cp311-linux_x86_64.whl"
    exit "${WHEEL_FAILS:-0}" ;;
  *'-m pip download'*)
    [ -n "$PREBUILT" ] || exit 1
    while [ "$1" != -d ]; do shift; done
    mkdir -p "$2"
    touch "$2/onedl_mmcv-2.3.6-cp311-cp311-prebuilt.whl" ;;
  *'import mmcv._ext'*) exit "${OPERATORS_FAIL:-0}" ;;
  *'-m pip install'*) sleep "${PIP_SECONDS:-0}"; echo 'pip says something'; exit "${PIP_FAILS:-0}" ;;
esac
"""


def fake_df(free: int) -> str:
    """A ``df`` that reports so many GiB."""
    return f'#!/bin/sh\nprintf "Filesystem 1024-blocks Used Available\\n/dev/x 9 9 {free * 2 ** 20}\\n"\n'


class TestSetupScript:
    """tools/setup_env.sh against an interpreter that only notes what it is asked for."""

    @pytest.fixture
    def clone(self, tmp_path) -> Path:
        for name in ('setup.py', 'constraints.txt', 'tools/setup_env.sh'):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
        (tmp_path / 'bin').mkdir()
        self.program(tmp_path, 'fakepython', FAKE_PYTHON)
        self.program(tmp_path, 'df', fake_df(free=99))  # the script refuses a full disk: not that of the test
        return tmp_path

    def program(self, clone: Path, name: str, text: str) -> None:
        file = clone / 'bin' / name
        file.write_text(text)
        file.chmod(0o755)

    def command(self, clone: Path, **variables: str) -> dict:
        path = f'{clone / "bin"}:{os.environ["PATH"]}'
        return {**os.environ, 'PATH': path, 'PYTHON': 'fakepython', 'FAKE_VERSION': '3.11.4',
                'CALLS': str(clone / 'calls'), **variables}

    def setup(self, clone: Path, what: str = 'core', **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(['bash', 'tools/setup_env.sh', what], cwd=clone, env=self.command(clone, **variables),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def pip_calls(self, clone: Path) -> int:
        return (clone / 'calls').read_text().count('-m pip install')

    def test_installs_once(self, clone):
        run = self.setup(clone)
        assert run.returncode == 0, run.stderr
        assert '[1/1] core packages' in run.stderr and 'ready after' in run.stderr
        assert '-c constraints.txt --no-build-isolation -e .[onedl]' in (clone / 'calls').read_text()
        calls = self.pip_calls(clone)
        again = self.setup(clone)
        assert (again.returncode, again.stderr, self.pip_calls(clone)) == (0, '', calls)

    def test_installs_again_when_requirements_change(self, clone):
        self.setup(clone)
        calls = self.pip_calls(clone)
        with open(clone / 'constraints.txt', 'a') as file:
            file.write('another==1.0\n')
        assert self.setup(clone).returncode == 0
        assert self.pip_calls(clone) == 2 * calls

    def test_interrupted_installation_is_made_anew(self, clone):
        process = subprocess.Popen(['bash', 'tools/setup_env.sh', 'core'], cwd=clone, stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, env=self.command(clone, PIP_SECONDS='30'))
        while process.stderr.readline().startswith('setup: Python'):
            pass
        process.terminate()
        with process:
            assert 'interrupted; run the same command again' in process.stderr.read()
        assert process.returncode == 130
        run = self.setup(clone)
        assert run.returncode == 0
        assert 'was interrupted while installing; making .venv anew' in run.stderr

    def test_foreign_environment_is_never_thrown_away(self, clone):
        (clone / '.venv/bin').mkdir(parents=True)
        shutil.copy(clone / 'bin/fakepython', clone / '.venv/bin/python')
        (clone / '.venv/mine').touch()
        assert self.setup(clone, PIP_FAILS='1').returncode == 1
        assert self.setup(clone).returncode == 0
        assert (clone / '.venv/mine').exists()

    def test_failed_step_shows_its_log(self, clone):
        run = self.setup(clone, PIP_FAILS='1')
        assert run.returncode == 1
        assert 'pip says something' in run.stderr
        assert "step 'core packages (about 3 GB to download)' failed" in run.stderr and '.venv/setup.log' in run.stderr

    @pytest.mark.parametrize('variables, message', [
        ({'FAKE_VERSION': '3.9.18'}, 'PYTHON=fakepython is Python 3.9.18, Python 3.10 or newer is needed.'),
        ({'PYTHON': 'no-such-python'}, 'PYTHON=no-such-python is not there.'),
        ({'NO_VENV': '1'}, 'comes without its venv module'),
    ])
    def test_unfit_interpreter_is_named(self, clone, variables, message):
        run = self.setup(clone, **variables)
        assert run.returncode == 1
        assert message in run.stderr and 'How:' in run.stderr

    def test_full_disk_is_named(self, clone):
        self.program(clone, 'df', fake_df(free=2))
        run = self.setup(clone)
        assert run.returncode == 1
        assert '2 GB are free' in run.stderr and '8 GB are needed' in run.stderr

    def test_environment_of_another_version_is_named(self, clone):
        self.setup(clone)
        text = FAKE_PYTHON.replace('$FAKE_VERSION', '3.12.1').replace('${FAKE_VERSION%.*}', '3.12')
        self.program(clone, 'otherpython', text)
        run = self.setup(clone, PYTHON='otherpython')
        assert run.returncode == 1
        assert 'PYTHON=otherpython is 3.12' in run.stderr

    def test_operators_are_built_once_for_all_environments(self, clone):
        variables = {'XDG_CACHE_HOME': str(clone / 'cache'), 'CXX': 'true'}
        failed = self.setup(clone, 'all', WHEEL_FAILS='1', **variables)
        assert failed.returncode == 1 and "step 'mmcv's operators" in failed.stderr
        assert not list((clone / 'cache').rglob('*.whl'))
        assert 'built once' in self.setup(clone, 'all', **variables).stderr
        wheel, = (clone / 'cache').rglob('*.whl')
        assert wheel.parent == clone / 'cache/cp311-torch2-cpu'
        assert f'{wheel} -e .[onedl,det,seg]' in (clone / 'calls').read_text()
        shutil.rmtree(clone / '.venv')
        assert 'built earlier' in self.setup(clone, 'all', **variables).stderr
        assert self.setup(clone, 'core', **variables).stderr == '', 'all holds the core'

    def test_a_wheel_of_others_is_taken_if_its_operators_load(self, clone):
        variables = {'XDG_CACHE_HOME': str(clone / 'cache'), 'CXX': 'no-such-compiler', 'PREBUILT': '1'}
        refused = self.setup(clone, 'all', OPERATORS_FAIL='1', **variables)
        assert refused.returncode == 1 and 'no C++ compiler' in refused.stderr  # built instead, which needs one
        assert not list((clone / 'cache').rglob('*.whl'))
        taken = self.setup(clone, 'all', **variables)
        assert taken.returncode == 0 and 'a wheel that loads here' in taken.stderr
        wheel, = (clone / 'cache').rglob('*.whl')
        assert f'{wheel} -e .[onedl,det,seg]' in (clone / 'calls').read_text()

    def test_missing_compiler_is_named(self, clone):
        run = self.setup(clone, 'all', CXX='no-such-compiler', XDG_CACHE_HOME=str(clone / 'cache'))
        assert run.returncode == 1
        assert "no C++ compiler (no-such-compiler) to build mmcv's operators with. How: apt install g++" in run.stderr

    def test_usage(self, clone):
        run = self.setup(clone, 'everything')
        assert run.returncode == 2
        assert "usage: bash tools/setup_env.sh core|all (found: 'everything')" in run.stderr


class TestLaunchers:
    """The distributed launchers, with a launcher that prints its arguments instead of starting anything."""

    @pytest.fixture
    def echo(self, tmp_path) -> Path:
        for name in ('echo-python', 'srun'):
            (tmp_path / name).write_text('#!/bin/sh\nprintf "%s " "$@"\n')
            (tmp_path / name).chmod(0o755)
        return tmp_path

    def run(self, echo: Path, *command: str, **variables: str) -> subprocess.CompletedProcess:
        env = {**os.environ, 'PATH': f'{echo}:{os.environ["PATH"]}', 'PYTHON': str(echo / 'echo-python'), **variables}
        return subprocess.run(['bash', *command], cwd=echo, env=env, capture_output=True, text=True)

    def test_dist_train(self, echo):
        run = self.run(echo, str(ROOT / 'tools/dist_train.sh'), 'c.py', '8', '--resume', PORT='1234', NNODES='2')
        assert '--nnodes=2' in run.stdout and '--master-port=1234' in run.stdout and '--nproc-per-node=8' in run.stdout
        assert run.stdout.endswith(f'{ROOT}/tools/train.py c.py --launcher pytorch --resume ')

    def test_dist_test(self, echo):
        run = self.run(echo, str(ROOT / 'tools/dist_test.sh'), 'c.py', 'w.pth', '4')
        assert '--nproc-per-node=4' in run.stdout
        assert run.stdout.endswith(f'{ROOT}/tools/test.py c.py w.pth --launcher pytorch ')

    def test_slurm_train(self, echo):
        run = self.run(echo, str(ROOT / 'tools/slurm_train.sh'), 'part', 'job', 'c.py', 'out', GPUS='4')
        assert '-p part --job-name=job --gres=gpu:4 --ntasks=4 --ntasks-per-node=4' in run.stdout
        assert run.stdout.endswith(f'{ROOT}/tools/train.py c.py --work-dir out --launcher slurm ')

    @pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
    def test_usage(self, echo, script):
        run = self.run(echo, str(ROOT / 'tools' / script), 'c.py')
        assert run.returncode == 2
        assert run.stderr.startswith(f'usage: bash tools/{script}')


def readme() -> str:
    return (ROOT / 'README.md').read_text(encoding='utf-8')


class TestDocuments:

    def test_first_code_block_holds_exactly_the_two_commands(self):
        block = re.search(r'^```.*?\n(.*?)^```', readme(), re.MULTILINE | re.DOTALL).group(1)
        assert block.splitlines() == ['bash tools/quickstart.sh', 'bash tools/run_tests.sh']

    def test_continuous_integration_runs_the_second(self):
        assert os.access(ROOT / '.ci/run', os.X_OK)
        assert 'bash tools/run_tests.sh' in (ROOT / '.ci/run').read_text()

    @pytest.mark.parametrize('document', ['README.md', 'CONTRIBUTING.md', *PAGES])
    def test_named_files_exist(self, document):
        text = (ROOT / document).read_text()
        paths = set(re.findall(r'(?<!\w/)\b((?:configs|tools|tests|projects|docs|rsc_mm)/[\w./-]*\w)', text))
        named = {path for path in paths if Path(path).stem != 'CONFIG'}  # stands for one
        assert sorted(path for path in named if not (ROOT / path).exists()) == []

    @pytest.mark.skipif(not find_spec('mmdet'), reason='mmdet is not installed')
    def test_detector_of_the_page(self, tmp_path):
        import mmdet.models
        model = self.build(0, mmdet.registry.MODELS, 'mmdet', tmp_path)
        assert type(model).__name__ == 'RetinaNet' and model.data_preprocessor.mean[0, 0, 0] == 122.771
        with torch.no_grad():
            scores = model.bbox_head(model.extract_feat(torch.zeros(1, 3, 64, 96)))[0]
        assert [tuple(score.shape[2:]) for score in scores] == [(4, 6), (2, 3), (1, 2)]

    @pytest.mark.skipif(not find_spec('mmseg'), reason='mmseg is not installed')
    @pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore`` is False:UserWarning')
    def test_segmentor_of_the_page(self, tmp_path):
        import mmseg.models
        model = self.build(1, mmseg.registry.MODELS, 'mmseg', tmp_path)
        with torch.no_grad():
            logits = model.decode_head(model.extract_feat(torch.zeros(1, 3, 64, 96)))
        assert logits.shape == (1, 150, 4, 6)

    def build(self, number: int, models: Registry, scope: str, folder: Path) -> torch.nn.Module:
        """The model of that configuration on the page about the backbone in other models, without its weights."""
        page = (ROOT / 'docs/howto/backbone.md').read_text(encoding='utf-8')
        blocks = re.findall(r'^```python\n((?:_base_[^\n]*\n)?custom_imports.*?)^```', page, re.M | re.S)
        (folder / 'page.py').write_text(blocks[number])
        config = Config.fromfile(folder / 'page.py').model
        config.backbone.init_cfg = None
        with DefaultScope.overwrite_default_scope(scope):
            return models.build(config).eval()
