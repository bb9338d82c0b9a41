"""A detector's checkpoint holds its class names and embeddings: the text tower is needed for new names only."""
import pytest
import torch
from mmengine.runner import load_checkpoint, save_checkpoint

from rsc_mm.models.heads import TextClassifier, pack_vocabulary, unpack_vocabulary
from rsc_mm.models.text import CLIPTextEncoder
from rsc_mm.registry import MODELS
from tests.test_models.test_detectors.tiny import BASE, CLASSES, batch, embeddings, tiny_config

ARCH = dict(embed_dim=24, context_length=16, width=16, heads=2, layers=2)
HEAD = 'roi_head.bbox_head.fc_cls.'


@pytest.fixture
def config(tmp_path):
    """A detector whose embeddings come from a text tower."""
    torch.manual_seed(0)
    torch.save(CLIPTextEncoder(ARCH, None).state_dict(), tmp_path / 'clip.pt')
    made = tiny_config()
    made.roi_head.bbox_head.class_embeddings = dict(
        text_encoder=dict(arch=ARCH, checkpoint=str(tmp_path / 'clip.pt')), prompts='single',
        cache_dir=str(tmp_path / 'cache'))
    return made


def train(config, tmp_path):
    """The file of a detector, after which the CLIP file and the cache are gone."""
    model = MODELS.build(config)
    model.init_weights()
    save_checkpoint(dict(state_dict=model.state_dict()), str(tmp_path / 'detector.pth'))
    (tmp_path / 'clip.pt').unlink()
    for file in (tmp_path / 'cache').iterdir():
        file.unlink()
    return model


def read(config, tmp_path):
    model = MODELS.build(config)
    load_checkpoint(model, str(tmp_path / 'detector.pth'), map_location='cpu', strict=True)
    return model.eval()


def test_the_clip_file_is_not_needed(config, tmp_path):
    first = train(config, tmp_path).eval()
    second = read(config, tmp_path)
    data = batch(first, [(64, 64)], [[]], training=False)
    with torch.no_grad():
        results = [model(**data, mode='predict')[0].pred_instances for model in (first, second)]
        assert torch.equal(results[0].bboxes, results[1].bboxes) and torch.equal(results[0].scores, results[1].scores)
    assert torch.equal(second.roi_head.bbox_head.fc_cls.embeddings, first.roi_head.bbox_head.fc_cls.embeddings)


def test_a_part_of_the_classes_in_another_order(config, tmp_path):
    rows = train(config, tmp_path).roi_head.bbox_head.fc_cls.embeddings
    config.roi_head.bbox_head.classes = ['kite', 'cat']
    model = read(config, tmp_path)
    model.roi_head.bbox_head.embed_classes()
    expected = rows[[CLASSES.index('kite'), CLASSES.index('cat'), -1]]
    assert torch.equal(model.roi_head.bbox_head.fc_cls.embeddings, expected)
    model.set_vocabulary(['dog'])
    assert torch.equal(model.roi_head.bbox_head.fc_cls.embeddings, rows[[CLASSES.index('dog'), -1]])


def test_new_names_need_the_tower_and_say_so(config, tmp_path):
    clip = (tmp_path / 'clip.pt').read_bytes()
    rows = train(config, tmp_path).roi_head.bbox_head.fc_cls.embeddings
    model = read(config, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"clip.pt: no such file.*needs it for the names \['sun'\], which are "
                                                'not saved with the detector'):
        model.set_vocabulary(['cat', 'sun'])
    (tmp_path / 'clip.pt').write_bytes(clip)
    model.set_vocabulary(['cat', 'sun'])
    found = model.roi_head.bbox_head.fc_cls.embeddings
    assert torch.equal(found[[0, 2]], rows[[CLASSES.index('cat'), -1]]) and found[1].norm() == pytest.approx(1)
    assert model.roi_head.bbox_head.is_base.tolist() == ['cat' in BASE, False, True]


def test_other_prompts_are_not_answered_by_saved_embeddings(config, tmp_path):
    train(config, tmp_path)
    config.roi_head.bbox_head.class_embeddings.prompts = ['a picture of {}.']
    with pytest.raises(FileNotFoundError, match='clip.pt'):
        read(config, tmp_path).roi_head.bbox_head.embed_classes()


def test_labels_keep_their_prompts(config, tmp_path):
    """VOC: 'tvmonitor' was embedded as 'tv monitor', so that the name 'tv monitor' is known as well."""
    config.roi_head.bbox_head.update(classes='voc20', base_classes='voc20')
    model = train(config, tmp_path)
    content = unpack_vocabulary(model.state_dict()[f'{HEAD}vocabulary'])
    assert content['names'][-2:] == ['tvmonitor', 'background'] and content['words'][-2] == 'tv monitor'
    config.roi_head.bbox_head.classes = ['tv monitor']
    other = read(config, tmp_path)
    other.roi_head.bbox_head.embed_classes()
    assert torch.equal(other.roi_head.bbox_head.fc_cls.embeddings, model.roi_head.bbox_head.fc_cls.embeddings[-2:])


def test_a_file_of_embeddings_may_be_gone_too(tmp_path):
    config, file = tiny_config(), tmp_path / 'classes.pt'
    torch.save(dict(zip([*CLASSES, 'background'], embeddings())), file)
    config.roi_head.bbox_head.class_embeddings = str(file)
    model = MODELS.build(config)
    model.init_weights()
    save_checkpoint(dict(state_dict=model.state_dict()), str(tmp_path / 'detector.pth'))
    file.unlink()
    other = read(config, tmp_path)
    other.roi_head.bbox_head.embed_classes()
    assert torch.allclose(other.roi_head.bbox_head.fc_cls.embeddings, embeddings(), atol=1e-6)


def test_rows_of_unknown_origin_are_taken_by_label(config, tmp_path):
    """A detector trained with a file, or converted: 'tvmonitor' is the row of that label, whatever text it was."""
    config.roi_head.bbox_head.update(classes='voc20', base_classes='voc20', class_embeddings=embeddings(21))
    torch.save(dict(state_dict=MODELS.build(config).state_dict()), tmp_path / 'detector.pth')
    config.roi_head.bbox_head.class_embeddings = dict(
        text_encoder=dict(arch=ARCH, checkpoint=str(tmp_path / 'gone.pt')), prompts='single')
    model = read(config, tmp_path)
    model.roi_head.bbox_head.embed_classes()
    assert torch.allclose(model.roi_head.bbox_head.fc_cls.embeddings, embeddings(21))


def test_files_without_a_vocabulary_load_as_before(config, tmp_path):
    model = MODELS.build(config)
    model.init_weights()
    weights = {key: value for key, value in model.state_dict().items()
               if key not in (f'{HEAD}embeddings', f'{HEAD}vocabulary')}
    other = MODELS.build(config)
    other.load_state_dict(weights)  # strict
    other.roi_head.bbox_head.embed_classes()  # by the tower
    assert torch.equal(other.roi_head.bbox_head.fc_cls.embeddings, model.roi_head.bbox_head.fc_cls.embeddings)


def test_names_pack_into_bytes():
    packed = pack_vocabulary(['café', 'background'], ['coffee', 'background'], ['ViT', 3])
    assert packed.dtype == torch.uint8
    assert unpack_vocabulary(packed) == dict(names=['café', 'background'], words=['coffee', 'background'],
                                             source=['ViT', 3])
    assert unpack_vocabulary(packed[:0])['names'] == []


def test_a_classifier_keeps_its_own_vocabulary_when_it_loads():
    first, second = TextClassifier(24, 5), TextClassifier(24, 3)
    first.set_embeddings(embeddings(), [*CLASSES, 'background'])
    second.set_embeddings(embeddings(3, seed=1), ['sun', 'sea', 'background'])
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.embeddings, embeddings(3, seed=1)) and list(second.saved) == [*CLASSES, 'background']
    assert unpack_vocabulary(second.vocabulary)['names'] == ['sun', 'sea', 'background']
