"""A page to try towers on images: class maps, affinity to a point, names of boxes.

  python projects/web_demo/app.py
  python projects/web_demo/app.py --checkpoint CLIP.pt --checkpoint work_dirs/clipself_vitb16_coco_patches
  python projects/web_demo/app.py --detector configs/fvit/fvit_vitb16_ovcoco.py epoch_3.pth

A tower is anything that rsc_mm.load reads: a published file or folder, 'hf-hub:owner/name', a work directory. Up to
three stand side by side; default: the tiny tower of projects/shapes_clip. Uploads lie in a temporary folder, which is
removed at the end.
"""
import argparse
import html
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from demo import (
    EXAMPLE_NAMES,
    MAX_BYTES,
    MAX_NAMES,
    MAX_TOWERS,
    Demo,
    Request,
    load_towers,
    read_query,
    write_examples,
    write_query,
)

from rsc_mm.apis.command_line import add_trust, run_tool
from rsc_mm.utils.dependencies import optional_module

TINY = Path(__file__).parents[1] / 'shapes_clip/shapes_clip.pt'
TITLES = {'class_map': 'Class map', 'affinity': 'Affinity to the point', 'regions': 'Boxes'}
STYLE = """
.error {border-left: 4px solid #c0392b; background: #fdecea; color: #7b1c12; padding: .6em .9em; border-radius: 4px;
  overflow-wrap: anywhere}
footer {display: none !important}
#examples .grid-container {gap: 4px; width: 100%; grid-template-columns: repeat(6, minmax(0, 1fr)) !important}
#examples .grid-container button {width: 100% !important; height: auto !important; aspect-ratio: 1}
"""


def import_gradio(folder: str) -> Any:
    """Gradio, set to write into a folder and to ask nobody outside.

    Args:
        folder: for uploads and pictures.
    """
    os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED='False', HF_HUB_DISABLE_TELEMETRY='1')
    return optional_module('gradio', 'gradio', 'the page', 'web')


def build_page(demo: Demo, examples: list[str], gradio: Any) -> Any:
    """The page.

    Args:
        demo: answers.
        examples: paths of the example images.
        gradio: the module.
    """
    with gradio.Blocks(title='Dense CLIP', analytics_enabled=False) as page:
        gradio.Markdown('# Dense CLIP\nChoose an example or drop an image, type names, and click on the image to see '
                        'what is alike.')
        with gradio.Row():
            with gradio.Column(min_width=300):
                image = gradio.Image(examples[0], show_label=False, type='filepath', height=340, min_width=200,
                                     image_mode=None, sources=['upload', 'clipboard'], elem_id='image', buttons=[])
                gallery = gradio.Gallery(examples, show_label=False, columns=6, height=110, allow_preview=False,
                                         elem_id='examples', buttons=[])
            with gradio.Column(min_width=300):
                names = gradio.Textbox(EXAMPLE_NAMES, label=f'Names (at most {MAX_NAMES}; "dog; puppy" is one class)',
                                       lines=3, elem_id='names')
                point = gradio.Textbox(label='Point: x, y', placeholder='click on the image', elem_id='point')
                boxes = gradio.Textbox(label='Boxes: x1, y1, x2, y2, one a line', lines=2, elem_id='boxes',
                                       placeholder=boxes_hint(demo))
                with gradio.Row():
                    buttons = {'class_map': gradio.Button('Class map', variant='primary', min_width=90),
                               'affinity': gradio.Button('Affinity', min_width=90),
                               'regions': gradio.Button('Boxes', min_width=90)}
        example = gradio.Textbox('0', visible=False)
        message = gradio.HTML(elem_id='message')
        with gradio.Row():
            pictures = [gradio.Image(visible=False, label=title, format='png', min_width=260, elem_id=f'tower{i}',
                                     buttons=['fullscreen', 'download']) for i, title in enumerate(demo.towers)]
        link = gradio.Textbox(label='Link to this state', visible=False, buttons=['copy'], elem_id='link')

        inputs, outputs = [image, example, names, point, boxes], [message, link, *pictures]
        run = dict(concurrency_id='towers', concurrency_limit=1)  # one after the other, in the order of their arrival
        show = {name: partial(respond, demo, gradio, name) for name in TITLES}
        for name, button in buttons.items():
            button.click(typed(show[name], gradio), inputs, outputs, api_name=name, **run)
        names.submit(typed(show['class_map'], gradio), inputs, outputs, api_name=False, **run)
        point.submit(typed(show['affinity'], gradio), inputs, outputs, api_name=False, **run)
        image.upload(lambda: ('', ''), None, [example, point], api_name=False)
        image.clear(lambda: ('', ''), None, [example, point], api_name=False)
        image.select(clicked(gradio), None, point, api_name=False).then(
            typed(show['affinity'], gradio), inputs, outputs, api_name=False, **run)
        gallery.select(chosen(examples, gradio), None, [image, example, point, boxes], api_name=False).then(
            typed(show['class_map'], gradio), inputs, outputs, api_name=False, **run)
        page.load(restored(demo, examples, gradio), None, [*inputs, *outputs], api_name=False, **run)
    return page.queue(max_size=200)


def boxes_hint(demo: Demo) -> str:
    """What the empty field of boxes says."""
    finds = any(tower.detector for tower in demo.towers.values())
    return 'empty: the detector finds them' if finds else '72, 14, 104, 44'


def respond(demo: Demo, gradio: Any, show: str, state: Request, address: str) -> list:
    """Error text, link and a picture for each tower.

    Args:
        demo: answers.
        gradio: the module.
        show: a key of `TITLES`.
        state: what is asked for.
        address: of the page, for the link.
    """
    found, error = demo.answer(getattr(demo, show), state)
    text = f'<div class="error" role="alert">{html.escape(error)}</div>' if error else f'<h3>{TITLES[show]}</h3>'
    by_title = dict(found)
    images = [gradio.update(value=by_title.get(title), visible=title in by_title) for title in demo.towers]
    label = 'Link to this state' if state.example else 'Link to this state, without your own image'
    link = gradio.update(value=f'{address}?{write_query(state, show)}', label=label, visible=not error)
    return [text, link, *images]


def typed(show: Any, gradio: Any) -> Any:
    """A handler of the inputs as they stand on the page."""
    def handle(image, example, names, point, boxes, request: gradio.Request):
        return show(Request(image or '', example or '', names or '', point or '', boxes or ''), address_of(request))
    return handle


def clicked(gradio: Any) -> Any:
    """A handler that turns a click into a point."""
    def handle(event: gradio.SelectData):
        return f'{event.index[0]:.0f}, {event.index[1]:.0f}'
    return handle


def chosen(examples: list[str], gradio: Any) -> Any:
    """A handler that turns the choice of an example into image and number, without the old point and boxes."""
    def handle(event: gradio.SelectData):
        return examples[event.index], str(event.index), '', ''
    return handle


def restored(demo: Demo, examples: list[str], gradio: Any) -> Any:
    """A handler of the link by which the page was opened."""
    def handle(request: gradio.Request):
        state, show = read_query(dict(request.query_params), examples)
        outputs = 2 + len(demo.towers)
        if not (show or state.example):  # opened without a link: the page as it was built
            return [gradio.skip()] * (5 + outputs)
        inputs = [state.image or None, state.example, state.names, state.point, state.boxes]
        rest = respond(demo, gradio, show, state, address_of(request)) if show else [gradio.skip()] * outputs
        return [*inputs, *rest]
    return handle


def address_of(request: Any) -> str:
    """The page's own address, as the browser has it."""
    return (dict(request.headers).get('referer') or '/').partition('?')[0]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', action='append', default=[], metavar='TOWER',
                        help=f'a tower, up to {MAX_TOWERS} times (default: the tiny tower of Shapes)')
    parser.add_argument('--text-checkpoint', metavar='CLIP', help='a CLIP file with the text tower, for towers that '
                        'come without')
    parser.add_argument('--detector', nargs=2, metavar=('CONFIG', 'CHECKPOINT'),
                        help='finds boxes by name; needs mmdet')
    parser.add_argument('--host', default='127.0.0.1', help='0.0.0.0 opens the page to the network '
                        '(default: %(default)s, this machine alone)')
    parser.add_argument('--port', type=int, default=7860, help='(default: %(default)s)')
    parser.add_argument('--device', help='default: a GPU if there is one')
    add_trust(parser)
    return parser.parse_args()


def launch(page: Any, gradio: Any, host: str, port: int | None, block: bool = True) -> str:
    """Open the page and return its address.

    Args:
        page: of `build_page`.
        gradio: the module.
        host, port: where; None: a free port.
        block: until it is interrupted.
    """
    fonts = dict(font=['system-ui', 'sans-serif'], font_mono=['monospace'])  # the default ones come from the network
    return page.launch(server_name=host, server_port=port, share=False, max_file_size=MAX_BYTES, ssr_mode=False,
                       run_history=False, footer_links=[], theme=gradio.themes.Default(**fonts), css=STYLE,
                       prevent_thread_lock=not block, quiet=not block, show_error=True)[1]


def main() -> None:
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # leaves the block below, which removes the folder
    with tempfile.TemporaryDirectory() as folder:
        gradio = import_gradio(folder)
        examples = Path(folder, 'examples')
        examples.mkdir()
        sources = args.checkpoint or ([] if args.detector else [str(TINY)])
        towers = load_towers(sources, args.detector, args.text_checkpoint, args.device)
        page = build_page(Demo(towers), write_examples(examples), gradio)
        launch(page, gradio, args.host, args.port)


if __name__ == '__main__':
    run_tool(main)
