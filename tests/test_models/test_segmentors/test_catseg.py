import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from mmengine.config import Config  # noqa: E402
from mmengine.optim import build_optim_wrapper  # noqa: E402
from mmseg.apis import MMSegInferencer  # noqa: E402
from mmseg.models.segmentors import EncoderDecoder  # noqa: E402

from rsc_mm.apis.segmentation import load_segmentor, segment  # noqa: E402
from rsc_mm.utils.checkpoint import CheckpointError  # noqa: E402

from .tiny import CLASSES, TEXT, VIT, batch, build, tiny_catseg, tiny_config  # noqa: E402

SQUASH = dict(mode='squash', size=(96, 96), crop_size=(64, 64), stride=(32, 32))
SLIDE = dict(mode='slide', crop_size=(64, 64), stride=(40, 40))


@pytest.fixture(scope='module')
def model():
    return tiny_catseg()


def predict(model, data, **test_cfg):
    model = copy.copy(model)
    model.test_cfg = test_cfg or dict(mode='whole')
    with torch.no_grad():
        return model.predict(data['inputs'], [copy.deepcopy(sample) for sample in data['data_samples']])


@torch.no_grad()
def test_the_tower_s_maps_reach_the_aggregator(model):
    """Dense map through the readout and not normalised; guidance of blocks depth // 3 - 1 and 2 depth // 3 - 1."""
    inputs = batch(model, [(64, 64)] * 2)['inputs']
    dense, earlier, later = model.extract_feat(inputs)
    tower = model.backbone
    assert model.layers == (0, 1)  # of depth 4
    torch.testing.assert_close(dense, tower.encode_dense(inputs, normalize=False))
    torch.testing.assert_close(earlier, tower.intermediates(inputs, (0, ))[0])
    torch.testing.assert_close(later, tower.intermediates(inputs, (1, ))[0])
    text = model.decode_head.vocabulary()
    texts = [f'a photo of a {name} in the scene' for name in ('cat', 'dog', 'red umbrella', 'kite')]  # not 'puppy'
    torch.testing.assert_close(text[:4, 0], model.decode_head.vocabulary.text_encoder(texts))
    ups = [up(x) for up, x in zip(model.decode_head.upsamplers, (earlier, later))]
    assert [x.shape[2] for x in ups] == [8, 16]
    expected = model.decode_head.aggregator(dense, text.expand(2, -1, -1, -1), [dense, *ups], pooling_size=1)
    torch.testing.assert_close(model.logits(inputs), expected)


def test_images_are_brought_to_the_native_grid_or_keep_their_size(model):
    inputs = batch(model, [(48, 100)])['inputs']
    squashed = F.interpolate(inputs, (64, 64), mode='bilinear', align_corners=False)
    torch.testing.assert_close(model.extract_feat(inputs)[0], model.extract_feat(squashed)[0])
    own = tiny_catseg(resize=False)
    assert own.extract_feat(inputs)[0].shape == (1, 24, 3, 7)
    assert predict(own, batch(own, [(48, 100), (70, 33)]))[1].pred_sem_seg.shape == (70, 33)


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE, SQUASH], ids=lambda cfg: cfg['mode'])
def test_an_image_alone_gives_what_it_gives_in_a_batch(model, test_cfg):
    """Images of other sizes are padded to one; neither the padding nor the neighbour changes a result."""
    sizes = [(70, 100), (88, 64), (88, 104)]
    together = batch(model, sizes, ori_scale=2)
    samples = predict(model, together, **test_cfg)
    for i, size in enumerate(sizes):
        alone = dict(inputs=together['inputs'][i:i + 1, :, :size[0], :size[1]],
                     data_samples=[copy.deepcopy(together['data_samples'][i])])
        alone['data_samples'][0].set_metainfo(dict(img_padding_size=(0, 0, 0, 0)))
        found = predict(model, alone, **test_cfg)[0]
        assert found.pred_sem_seg.shape == (2 * size[0], 2 * size[1])
        torch.testing.assert_close(found.seg_logits.data, samples[i].seg_logits.data, rtol=0, atol=1e-5)


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE], ids=lambda cfg: cfg['mode'])
def test_equals_mmseg_s_own_inference(model, test_cfg):
    data = batch(model, [(72, 104)] * 2)
    host = copy.copy(model)
    host.test_cfg = tiny_config(test_cfg=test_cfg).test_cfg
    with torch.no_grad():
        expected = EncoderDecoder.predict(host, data['inputs'], [copy.deepcopy(x) for x in data['data_samples']])
    for mine, theirs in zip(predict(model, data, **test_cfg), expected):
        torch.testing.assert_close(mine.seg_logits.data, theirs.seg_logits.data, rtol=0, atol=1e-5)
        assert (mine.pred_sem_seg.data == theirs.pred_sem_seg.data).float().mean() > 0.999


@torch.no_grad()
def test_squash_equals_the_public_formula(model):
    """PyTorch's unfold and fold over a squashed image, one image at a time, as the public code."""
    image = batch(model, [(72, 104)])['inputs']
    canvas, kernel, stride = 96, 64, 32
    unfold = torch.nn.Unfold(kernel, stride=stride)
    fold = torch.nn.Fold((canvas, canvas), kernel, stride=stride)
    crops = unfold(F.interpolate(image, (canvas, canvas), mode='bilinear'))[0].t().reshape(-1, 3, kernel, kernel)
    overview = F.interpolate(image, (kernel, kernel), mode='bilinear')
    out = F.interpolate(model.logits(torch.cat([crops, overview])), kernel, mode='bilinear').sigmoid()
    windows = fold(out[:-1].flatten(1).t()) / fold(unfold(torch.ones(1, 1, canvas, canvas)))
    expected = (windows + F.interpolate(out[-1:], (canvas, canvas), mode='bilinear')) / 2
    expected = F.interpolate(expected.transpose(0, 1) if expected.dim() == 3 else expected, (72, 104), mode='bilinear')
    found = predict(model, batch(model, [(72, 104)]), **SQUASH)[0].seg_logits.data
    torch.testing.assert_close(found, expected[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE, SQUASH], ids=lambda cfg: cfg['mode'])
def test_chunks_of_classes_change_nothing(model, test_cfg):
    data = batch(model, [(72, 104), (64, 80)], ori_scale=2)
    for whole, chunked in zip(predict(model, data, **test_cfg), predict(model, data, **test_cfg, chunk_size=3)):
        torch.testing.assert_close(whole.pred_score.data, chunked.pred_score.data, rtol=0, atol=1e-5)
        # another label only where two are equally good
        of_label = whole.seg_logits.data.gather(0, chunked.pred_sem_seg.data)
        torch.testing.assert_close(of_label, whole.pred_score.data, rtol=0, atol=1e-5)
        torch.testing.assert_close(whole.pred_score.data, whole.seg_logits.data.max(0, keepdim=True)[0])
        assert 'seg_logits' not in chunked and chunked.pred_sem_seg.data.max() > 2


def test_views_one_after_the_other_change_nothing(model, monkeypatch):
    data, seen, logits = batch(model, [(72, 104), (64, 80)]), [], model.logits
    monkeypatch.setattr(model, 'logits', lambda crops: seen.append(len(crops)) or logits(crops))
    together, alone = predict(model, data, **SQUASH), predict(model, data, **SQUASH, at_once=1)
    assert seen == [8, 2, *[1] * 10]
    for first, second in zip(together, alone):
        torch.testing.assert_close(first.seg_logits.data, second.seg_logits.data, rtol=0, atol=1e-5)


def test_a_flipped_image_is_flipped_back(model):
    data = batch(model, [(64, 64)])
    plain = predict(model, data)[0].seg_logits.data
    data['data_samples'][0].set_metainfo(dict(flip=True, flip_direction='horizontal'))
    torch.testing.assert_close(predict(model, data)[0].seg_logits.data, plain.flip(2))


def test_classes_change_after_training(model):
    model = tiny_catseg()
    data = batch(model, [(64, 64)])
    before = predict(model, data)[0].seg_logits.data
    model.set_vocabulary([*reversed(CLASSES)])
    torch.testing.assert_close(predict(model, data)[0].seg_logits.data.flip(0), before, rtol=0, atol=1e-5)
    model.set_vocabulary([f'thing {i}' for i in range(20)])  # more than pad_len
    assert model.num_classes == model.out_channels == 20
    assert predict(model, data)[0].seg_logits.data.shape == (20, 64, 64)
    assert model.train().num_classes == len(CLASSES)  # training keeps its own


@pytest.mark.filterwarnings('ignore:Failed to add:UserWarning')  # the inferencer's visualizer has no folder
def test_the_package_s_api_and_mmseg_s_inferencer_segment_an_image(model, tmp_path):
    """With the weights of a whole model, other classes, and a readout that does not fit."""
    config = Config(dict(model=tiny_config(), default_scope='mmseg', test_dataloader=dict(dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'), dict(type='Resize', scale=(999, 64), keep_ratio=True),
        dict(type='PackSegInputs')])), visualizer=dict(type='SegLocalVisualizer')))
    config.dump(tmp_path / 'config.py')
    meta = dict(readout='value', dataset_meta=dict(classes=('what training knew', ), palette=[[0, 0, 0]]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'catseg.pth')
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)  # RGB
    loaded = load_segmentor(tmp_path / 'config.py', tmp_path / 'catseg.pth', ['kite', 'sea; ocean'], 'cpu')
    found = segment(loaded, image)
    assert found.labels.shape == (48, 80) and loaded.classes == ('kite', 'sea')
    loaded.set_vocabulary(CLASSES)
    inferencer = MMSegInferencer(str(tmp_path / 'config.py'), str(tmp_path / 'catseg.pth'), device='cpu',
                                 show_progress=False)
    labels = inferencer(image[:, :, ::-1].copy())['predictions']
    assert np.array_equal(labels, segment(loaded, image).labels)
    assert inferencer.model.dataset_meta['classes'] == tuple(CLASSES)
    meta['readout'] = 'value_cls'
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match="other.pth: was trained with readout 'value_cls', expected 'value'"):
        load_segmentor(tmp_path / 'config.py', tmp_path / 'other.pth', None, 'cpu')


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE, dict(SQUASH, chunk_size=3)],
                         ids=['whole', 'slide', 'squash in chunks'])
def test_the_best_text_of_a_class_counts(test_cfg):
    """As the public evaluation of VOC21: labels of all names first, then many names to one class."""
    aliases = dict(background='sky; grass; wall', dog='puppy')
    model = tiny_catseg(vocabulary=dict(test_classes=['cat', 'background', 'dog', 'kite; bird'], aliases=aliases))
    data = batch(model, [(72, 104), (64, 80)], ori_scale=2)
    found = predict(model, data, **test_cfg)
    assert model.classes == ('cat', 'background', 'dog', 'kite') and model.num_classes == 4
    with torch.no_grad():
        assert model.encode_decode(data['inputs'], []).shape[1] == 4
        assert model.decode_head.predict(model.extract_feat(data['inputs']), [dict(img_shape=(9, 7))], {}).shape[1] == 4
    names = tiny_catseg(vocabulary=dict(test_classes=['cat', 'sky', 'grass', 'wall', 'puppy', 'kite', 'bird']))
    label_of = torch.tensor([0, 1, 1, 1, 2, 3, 3])
    for sample, expected in zip(found, predict(names, data, **test_cfg)):
        assert torch.equal(sample.pred_sem_seg.data, label_of[expected.pred_sem_seg.data])
        assert torch.equal(sample.pred_score.data, expected.pred_score.data)
        if 'chunk_size' not in test_cfg:
            best = [expected.seg_logits.data[label_of == label].amax(0) for label in range(4)]
            assert torch.equal(sample.seg_logits.data, torch.stack(best))


def test_validation_may_have_other_classes():
    model = tiny_catseg(vocabulary=dict(test_classes=['cat', 'sea']))
    assert model.num_classes == 2 and model.train().num_classes == len(CLASSES)


def trainable(model) -> set[str]:
    parts = dict(visual=model.backbone, text=model.decode_head.vocabulary)
    return {f'{part}.{name}' for part, module in parts.items() for name, p in module.named_parameters()
            if p.requires_grad}


ARCHS = {'B': ('vit_base_patch16_clip_quickgelu_224', 768, 512, 'ViT-B-16-quickgelu', 12),
         'L': ('vit_large_patch14_clip_quickgelu_336', 1024, 768, 'ViT-L-14-336-quickgelu', 24)}


@pytest.mark.parametrize(('size', 'count'), [('B', 48), ('L', 72)])
def test_query_and_value_weights_of_both_towers_train(size, count):
    """And the sizes of the published models, in millions: trainable and all parameters of CLIP, the new parts."""
    arch, width, dim, text, depth = ARCHS[size]
    config = tiny_config(tower=dict(arch=arch), vocabulary=dict(arch=text))
    config.decode_head.in_channels = width
    config.decode_head.aggregator = dict(text_dim=dim, appearance_dim=dim)
    with torch.device('meta'):
        model = build(config)
    assert trainable(model) == (
        {f'visual.vit.blocks.{i}.attn.qkv.{part}.weight' for i in range(depth) for part in 'qv'}
        | {f'text.text_encoder.tower.transformer.resblocks.{i}.attn.{part}.weight' for i in range(12) for part in 'qv'})
    assert len(trainable(model)) == count
    clip = [*model.backbone.parameters(), *model.decode_head.vocabulary.parameters()]
    sizes = [sum(p.numel() for p in parts) / 1e6 for parts in (
        [p for p in clip if p.requires_grad], clip, model.decode_head.aggregator.parameters(),
        model.decode_head.upsamplers.parameters())]
    expected = {'B': [20.45, 149.6, 2.309, 2.360], 'L': [64.49, 427.9, 2.637, 3.146]}[size]
    assert sizes == pytest.approx(expected, rel=1e-3)
    assert all(p.requires_grad for p in model.decode_head.aggregator.parameters())


def test_towers_can_be_frozen_and_roles_chosen():
    assert trainable(tiny_catseg(finetune=dict())) == set()
    frozen_text = tiny_catseg(finetune=dict(visual=('k.bias', 'o.weight'), text=()))
    assert trainable(frozen_text) == {f'visual.vit.blocks.{i}.attn.{name}' for i in range(4)
                                      for name in ('qkv.k.bias', 'proj.weight')}
    eva = tiny_catseg(tower=dict(type='rsc_mm.EVACLIPViT', arch=dict(
        img_size=64, patch_size=16, embed_dim=48, depth=4, num_heads=3, num_classes=24, ref_feat_shape=(4, 4))),
        finetune=dict(visual=('q.weight', 'v.weight')))
    assert trainable(eva) == {f'visual.vit.blocks.{i}.attn.{part}_proj.weight' for i in range(4) for part in 'qv'}


@pytest.mark.slow
@pytest.mark.parametrize('fields', [
    dict(), dict(finetune=dict(visual=('q.weight', 'v.weight')), vocabulary=dict(prompts=['a {}.', 'the {}.']),
                 aggregator=dict(prompt_channel=2))], ids=['tuned text', 'frozen text, two prompts'])
def test_training_steps_lower_the_loss_and_move_nothing_else(fields):
    model = tiny_catseg(**fields).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optim_wrapper(model, dict(optimizer=dict(type='AdamW', lr=5e-3), clip_grad=dict(max_norm=1.)))
    data = batch(model, [(64, 64)] * 2, training=True)
    losses = []
    for _ in range(5):
        loss, logs = model.parse_losses(model(**data, mode='loss'))
        assert list(logs) == ['loss', 'decode.loss_sem_seg']
        optimizer.update_params(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    unused = {'backbone.vit.blocks.3.attn.qkv.q.weight'}  # the value readout has no query
    assert moved == {name for name, p in model.named_parameters() if p.requires_grad} - unused
    model.eval()
    with torch.no_grad():  # a kept feature of the text tower would be that of before
        texts = model.decode_head.vocabulary.text_encoder(['a photo of a cat in the scene'])
    if not fields:
        torch.testing.assert_close(model.decode_head.vocabulary()[0], texts)


def test_frozen_text_of_80_templates_trains():
    """The first version's text: encoded once, without gradient."""
    model = tiny_catseg(finetune=dict(visual=('q.weight', 'v.weight'), text=()), vocabulary=dict(prompts='imagenet'),
                        aggregator=dict(prompt_channel=80)).train()
    text = model.decode_head.vocabulary()
    assert text.shape == (len(CLASSES), 80, 24) and not text.requires_grad
    assert model.decode_head.vocabulary() is text
    sum(model(**batch(model, [(64, 64)] * 2, training=True), mode='loss').values()).backward()
    assert model.decode_head.aggregator.cost_embedding.weight.grad.abs().amax(dim=(0, 2, 3)).min() > 0


def test_bfloat16_is_finite(model):
    data = batch(model, [(64, 64)] * 2, training=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = tiny_catseg().train()(**data, mode='loss')
        sample = predict(model, batch(model, [(64, 64)]))[0]
    assert losses['decode.loss_sem_seg'].dtype == torch.float32 and losses['decode.loss_sem_seg'].isfinite()
    assert sample.seg_logits.data.isfinite().all() and sample.seg_logits.data.dtype == torch.float32


@pytest.mark.parametrize(('fields', 'message'), [
    (dict(layers=(1, 3)), r"field 'layers': found \(1, 3\), expected two ascending block numbers in 0..2"),
    (dict(test_cfg=dict(mode='tta')), r"field 'test_cfg.mode': found 'tta', expected one of \['slide', 'squash'"),
    (dict(finetune=dict(image=())), r"field 'finetune': found the towers \['image'\], expected \['text', 'visual'\]"),
    (dict(finetune=dict(text=('q', ))), r"field 'finetune.text': found 'q', which block 0 does not have"),
    (dict(vocabulary=dict(arch={**TEXT, 'embed_dim': 8})), 'found embeddings of 24 channels .* and 8 from the text'),
    (dict(tower=dict(arch={**VIT, 'embed_dim': 36})), "'decode_head.in_channels': found 48, expected the tower's 36"),
    (dict(aggregator=dict(appearance_dim=48)), "'decode_head.aggregator.appearance_dim': found 48, expected .* 24"),
    (dict(vocabulary=dict(prompts='imagenet')), "field 'aggregator.prompt_channel': found 1, expected 80, the"),
    (dict(vocabulary=dict(classes=['cat', 'dog; puppy'])), r"'vocabulary.classes': found .* several texts \['dog'"),
    (dict(vocabulary=dict(classes=['cat', 'cat'])), r"classes: found \['cat'\] twice, expected every name once"),
])
def test_bad_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny_catseg(**fields)
