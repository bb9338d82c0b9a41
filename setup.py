"""Packaging of rsc_mm: version ranges live here, the exact tested set in constraints.txt."""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
INIT = (ROOT / 'rsc_mm' / '__init__.py').read_text(encoding='utf-8')
VERSION = re.search(r"^__version__ = '(.+)'$", INIT, re.MULTILINE).group(1)

# MMEngine is not in this list: two distributions provide it ([onedl] or [openmmlab] below) and a hard requirement on
# one would be installed over the other. rsc_mm/utils/dependencies.py checks at import that one of them is there.
CORE = [
    'torch>=2.6,<2.13',
    'torchvision>=0.21,<0.28',
    'timm>=1.0.20,<1.1',
    'open_clip_torch>=3.0,<4',
    'huggingface_hub>=0.25,<3',
    'numpy>=1.26,<3',
    'packaging>=23',
    'pillow>=10.1',
    'filelock>=3.12',
    'platformdirs>=3',
    'pycocotools>=2.0.8',
    'lvis>=0.5.3',
    'safetensors>=0.4.5',
    'tensorboard>=2.14',
    'tqdm>=4.66',
]

EXTRAS = {
    # MMEngine: choose one of the two. Keep these ranges equal to those of rsc_mm/utils/dependencies.py.
    'onedl': ['onedl-mmengine>=0.10.8,<0.11'],
    'openmmlab': ['mmengine>=0.10.4,<0.11'],
    # The host libraries in their maintained builds. With [openmmlab], install mmcv, mmdet and mmsegmentation by their
    # own names instead of these two extras.
    'det': ['onedl-mmcv>=2.3,<2.4', 'onedl-mmdetection>=3.5,<3.6'],
    'seg': ['onedl-mmcv>=2.3,<2.4', 'onedl-mmsegmentation>=1.4,<1.5'],
    'vis': ['matplotlib>=3.7', 'scikit-learn>=1.4', 'scipy>=1.10'],
    # What results hand to supervision, and what `rescore` takes from it.
    'draw': ['supervision>=0.26'],
    # The parity test of projects/llava; LLaVA itself pins its own version.
    'llava': ['transformers>=4.37'],
    'export': ['onnx>=1.18', 'onnxscript>=0.5', 'onnxruntime>=1.20'],
    # The documentation site, and the notebooks that the tests run.
    'docs': ['mkdocs-material>=9.7', 'mkdocstrings-python>=2', 'latex2mathml>=3.77', 'nbclient>=0.10',
             'ipykernel>=6.29'],
    # The CRF of projects/unsupervised_segmentation; pip builds it with a C++ compiler.
    'crf': ['pydensecrf2>=1.1,<2'],
    # The page of projects/web_demo.
    'web': ['gradio>=6.20,<7'],
    # Its test in a real browser, a Chromium of the PATH or of `playwright install chromium`.
    'browser': ['playwright>=1.50'],
    # The last four build mmcv's operators: its pyproject.toml needs setuptools >= 77, its setup.py older than 81.
    'dev': ['pytest>=8', 'pytest-xdist>=3.6', 'ruff>=0.6', 'mypy>=1.15', 'setuptools>=77,<81', 'wheel', 'ninja',
            'psutil'],
}

setup(
    name='rsc_mm',
    version=VERSION,
    description='Turns a CLIP ViT into a dense, open-vocabulary backbone for MMDetection and MMSegmentation',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['rsc_mm', 'rsc_mm.*']),
    package_data={'rsc_mm': ['py.typed', '**/*.txt', '**/*.json']},
    install_requires=CORE,
    extras_require=EXTRAS,
)
