"""Exported towers give what the towers give, on rectangles that they were not traced with."""
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import rsc_mm
from rsc_mm.apis.export import GRAPHS, DenseGraph, ImageGraph, RegionGraph, export, onnx_file, program, trace
from rsc_mm.apis.images import read_one
from rsc_mm.models import EVACLIPViT
from rsc_mm.models.region_preprocessor import RegionPreprocessor
from rsc_mm.utils.regions import pool_numbered_regions, pool_regions
from tests.test_models.test_more_towers import tower_of
from tests.towers import GOLDEN_ARCH, randomize

onnxruntime = pytest.importorskip('onnxruntime', reason='the extra [export] is not installed')
SHAPES = [(1, 16 * 4, 16 * 4), (1, 50, 131), (3, 97, 33)]  # the native square; wide; high, several images


def model_of(tower):
    return SimpleNamespace(tower=tower, preprocessor=RegionPreprocessor(64, 64, 16, layout='rectangle'))


@pytest.fixture(scope='module')
def model():
    return model_of(randomize(EVACLIPViT({**GOLDEN_ARCH, 'depth': 2}), 0))


@pytest.fixture(scope='module')
def graphs(model):
    """Each is traced once, for its ONNX file and its program: most of the time goes there."""
    traced = {}

    def once(graph):
        if graph not in traced:
            traced[graph] = trace(graph)
        return traced[graph]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, 'trace', once)
        patch.setattr(program, 'trace', once)
        yield {name: graph(model) for name, graph in GRAPHS.items()}


@pytest.fixture(scope='module', params=GRAPHS)
def exported(request, graphs, tmp_path_factory):
    """A graph, its file and what the comparison at export found."""
    graph, out = graphs[request.param], tmp_path_factory.mktemp('onnx') / f'{request.param}.onnx'
    return graph, out, export(graph, out)


@pytest.mark.slow
def test_onnxruntime_gives_the_same_on_three_shapes(exported):
    graph, out, differences = exported
    assert len(differences) == 3 and max(differences.values()) < 1e-4
    for shape in SHAPES:
        values = graph.example(*shape)
        for ours, theirs in zip(onnx_file.call(graph, values), onnx_file.run(out, graph, values), strict=True):
            torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_file_says_what_it_takes(exported):
    import onnx
    graph, out, _ = exported
    content = onnx.load(out)
    said = {value.name: value.doc_string for value in (*content.graph.input, *content.graph.output)}
    assert said == {port.name: port.describe() for port in (*graph.inputs, *graph.outputs)}
    meta = json.loads({entry.key: entry.value for entry in content.metadata_props}['rsc_mm'])
    assert meta['inputs']['images'].startswith('(batch, 3, height, width) float32: RGB in 0..255')
    assert (meta['readout'], meta['patch_size'], meta['native_size'], meta['embedding_size']) == ('value', 16, 64, 24)
    axes = [axis.dim_param or axis.dim_value for axis in content.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ['batch', 3, 'height', 'width']


@pytest.mark.slow
@pytest.mark.parametrize('exported', ['regions'], indirect=True)
def test_the_vocabulary_is_an_input(exported):
    graph, out, _ = exported
    images, boxes, numbers, texts = graph.example(2, 80, 112)
    for count in (1, 9):
        texts = torch.randn(count, texts.shape[1])
        cosines, features = onnx_file.run(out, graph, (images, boxes, numbers, texts))
        torch.testing.assert_close(cosines, features @ F.normalize(texts, dim=1).t(), rtol=0, atol=1e-5)
    assert onnx_file.run(out, graph, (images, boxes[:0], numbers[:0], texts))[0].shape == (0, 9)


@torch.no_grad()
def test_graphs_take_what_load_resizes():
    """The pixels of the picture as they are in its file, without any of the preparation that `rsc_mm.load` does."""
    model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
    pixels = read_one('projects/shapes_clip/scene.jpg')[:, :100]  # 100 x 128: `load` resizes nothing
    images, boxes = pixels[None].float(), torch.tensor([[72., 14, 104, 44], [10, 20, 60, 70]])
    dense = DenseGraph(model)(images)[0]
    np.testing.assert_allclose(dense.numpy(), model.encode_dense(pixels), atol=1e-5)
    names = ['heart', 'cross', 'lines']
    found = model.classify_regions(pixels, boxes, names)
    cosines, features = RegionGraph(model)(images, boxes, torch.zeros(2, dtype=torch.long), model.texts(names))
    np.testing.assert_allclose(features.numpy(), found.features, atol=1e-5)
    np.testing.assert_allclose((cosines / model.temperature).softmax(1).numpy(), found.scores, atol=1e-3)
    square = F.interpolate(pixels[None, :, :, :100], (64, 64), mode='bicubic', antialias=True)  # uint8, as `load` does
    embedding = ImageGraph(model)(square.float())[0]
    np.testing.assert_allclose(embedding.numpy(), model.encode_image(pixels[:, :, :100]), atol=1e-5)


@torch.no_grad()
def test_numbered_regions_are_those_of_lists():
    dense, boxes = torch.randn(2, 5, 6, 7), torch.tensor([[3., 4, 50, 60], [0, 0, 9, 9], [8, 8, 90, 70]])
    numbered = torch.cat([torch.tensor([[0.], [1.], [1.]]), boxes], dim=1)
    boxes = [boxes[:1], boxes[1:]]
    assert torch.equal(pool_numbered_regions(dense, numbered[[2, 0]], 16), pool_regions(dense, boxes, 16)[[2, 0]])


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:The given buffer is not writable:UserWarning')  # of torch.export.load
@torch.no_grad()
def test_a_program_of_torch_export_gives_the_same_bits(graphs, tmp_path):
    graph, out = graphs['dense'], tmp_path / 'dense.pt2'
    assert export(graph, out) == {}
    extra = {'rsc_mm.json': ''}
    module = torch.export.load(out, extra_files=extra).module()
    assert json.loads(extra['rsc_mm.json'])['patch_size'] == 16
    for shape in SHAPES:
        images, = graph.example(*shape)
        assert torch.equal(module(images), graph(images))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('name', ['SigLIP', 'PE-Core', 'DINOv2 with registers'])
def test_other_families_can_be_traced_with_open_sizes(name):
    graph = DenseGraph(model_of(tower_of(name)))
    module = trace(graph).module()
    for shape in SHAPES:
        images, = graph.example(*shape)
        assert torch.equal(module(images), graph(images))


@pytest.mark.slow
def test_what_cannot_be_traced_is_named():
    with pytest.raises(ValueError, match="DINOv2ViT with the readout 'vanilla' cannot be exported with open image"):
        trace(DenseGraph(model_of(tower_of('DINOv2'))))


def test_bad_requests(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"OUT: found the ending '.bin', expected one of \['.onnx', '.pt2'\]"):
        export(DenseGraph(model), tmp_path / 'dense.bin')
    there = tmp_path / 'dense.onnx'
    there.write_text('mine')
    with pytest.raises(FileExistsError, match='dense.onnx: is there already; .* --overwrite'):
        export(DenseGraph(model), there)
    assert there.read_text() == 'mine'
    monkeypatch.setattr(onnx_file, 'MOST_BYTES', 1000)
    with pytest.raises(ValueError, match='found 0.0 GiB of weights, expected at most 2 GiB.*a file ending in .pt2'):
        export(DenseGraph(model), tmp_path / 'large.onnx')
    with pytest.raises(ValueError, match='found a tower with windows=2, expected windows=1'):
        DenseGraph(model_of(EVACLIPViT(GOLDEN_ARCH, windows=2)))
    assert [path.name for path in tmp_path.iterdir()] == ['dense.onnx']


@pytest.mark.slow
@pytest.mark.parametrize('exported', ['dense'], indirect=True)
def test_a_file_that_differs_is_not_kept(exported, tmp_path, monkeypatch):
    of_another_tower = SimpleNamespace(save=lambda beside: shutil.copy(exported[1], beside))
    monkeypatch.setattr(onnx_file, 'convert', lambda graph: of_another_tower)
    other = DenseGraph(model_of(randomize(EVACLIPViT({**GOLDEN_ARCH, 'depth': 2}), 1)))
    with pytest.raises(ValueError, match='tower.onnx: found outputs that differ by .*, expected at most 0.0001; noth'):
        export(other, tmp_path / 'tower.onnx')
    assert not list(tmp_path.iterdir())
