"""The page to try a tower: what it does without a browser, and many users at once."""
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rsc_mm

PROJECT = Path(__file__).parents[2] / 'projects/web_demo'
TINY = PROJECT.parent / 'shapes_clip/shapes_clip.pt'
NAMES = 'star, heart; love, dots'


@pytest.fixture(scope='module')
def modules():
    """The project's modules; they are scripts beside each other, not a package."""
    sys.path.insert(0, str(PROJECT))
    try:
        import app
        import demo
        return demo, app
    finally:
        sys.path.remove(str(PROJECT))


@pytest.fixture(scope='module')
def demo(modules):
    return modules[0]


@pytest.fixture(scope='module')
def towers(demo):
    return {'one': (tower := rsc_mm.load(TINY, device='cpu')), 'two': tower, 'three': tower}


@pytest.fixture(scope='module')
def examples(demo, tmp_path_factory):
    return demo.write_examples(tmp_path_factory.mktemp('examples'))


def pixels(picture):
    return np.asarray(picture.convert('RGB'))


def test_every_action_gives_a_picture_of_each_tower(demo, towers, examples):
    page = demo.Demo(towers)
    request = demo.Request(examples[0], '0', NAMES, '30, 40', '10 20 100 120\n\n5,5,60,60')
    for action in (page.class_map, page.affinity, page.regions):
        found, error = page.answer(action, request)
        assert error == '' and [title for title, _ in found] == ['one', 'two', 'three']
    image, names = Image.open(examples[0]), ['star', 'heart; love', 'dots']
    expected = towers['one'].class_map(image, names).picture()
    assert np.array_equal(pixels(page.answer(page.class_map, request)[0][1][1]), pixels(expected))
    expected = towers['one'].classify_regions(image, [[10, 20, 100, 120], [5, 5, 60, 60]], names).picture()
    assert np.array_equal(pixels(page.answer(page.regions, request)[0][0][1]), pixels(expected))


def test_points_and_boxes_follow_a_reduced_image(demo, towers, tmp_path):
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).resize((3200, 2560))
    large.save(tmp_path / 'large.png')
    page = demo.Demo(towers)
    found = page.affinity(demo.Request(str(tmp_path / 'large.png'), point='3199, 100'))['one']
    assert found.image.shape == (1280, 1600, 3) and found.point == (1599, 50)
    boxes = page.regions(demo.Request(str(tmp_path / 'large.png'), names=NAMES, boxes='0,0,3200,2560'))['one']
    assert boxes.regions.tolist() == [[0, 0, 1600, 1280]]


@pytest.mark.parametrize(('action', 'fields', 'message'), [
    ('class_map', dict(image=''), 'image: found none, expected one: choose an example'),
    ('class_map', dict(image='TEXT'), 'image: cannot be read (UnidentifiedImageError)'),
    ('class_map', dict(image='HUGE'), 'image: found 6000 x 5000 pixels, expected at most 25 million'),
    ('class_map', dict(names=''), "vocabulary: found '', expected classes between commas"),
    ('class_map', dict(names='star, star'), "found ['star'] twice"),
    ('class_map', dict(names=','.join(map(str, range(41)))), 'names: found 41, expected at most 40'),
    ('class_map', dict(names='x' * 101), 'of 101 characters, expected at most 100'),
    ('affinity', dict(point='3'), "point: found '3', expected x, y in pixels, such as"),
    ('affinity', dict(point='nan, 1'), "point: found 'nan, 1'"),
    ('affinity', dict(point='9999, 1'), 'point: found 9999, 1, expected a place in the image of'),
    ('regions', dict(boxes=''), 'boxes: found none, expected x1, y1, x2, y2'),
    ('regions', dict(boxes='1 2 3 4\n1 2 3'), "box 1: found '1 2 3', expected x1, y1, x2, y2"),
    ('regions', dict(boxes='9 9 1 1'), 'box 0: found [9.0, 9.0, 1.0, 1.0], expected x1 < x2'),
    ('regions', dict(boxes='1 2 3 4\n' * 51), 'boxes: found 51, expected at most 50')])
def test_errors_are_texts(demo, towers, examples, tmp_path, action, fields, message):
    (tmp_path / 'text.png').write_text('no image')
    files = {'TEXT': str(tmp_path / 'text.png'), 'HUGE': str(tmp_path / 'huge.png')}
    if fields.get('image') == 'HUGE':
        Image.new('1', (6000, 5000)).save(files['HUGE'])
    request = {**dict(image=examples[0], names=NAMES, point='1, 2', boxes='1 2 30 40'), **fields}
    request['image'] = files.get(request['image'], request['image'])
    page = demo.Demo(towers)
    found, error = page.answer(getattr(page, action), demo.Request(**request))
    assert found == [] and message in error and str(tmp_path) not in error


def test_a_defect_is_a_text_too_and_its_traceback_is_on_the_console(demo, towers, capsys):
    assert demo.Demo(towers).answer(lambda request: 1 / 0, demo.Request()) == (
        [], 'ZeroDivisionError inside the page; its console has more')
    assert 'ZeroDivisionError' in capsys.readouterr().err


def test_a_detector_finds_boxes_where_none_are_typed(demo, towers, examples):
    class Found:
        def detect(self, image, names, score):
            return towers['one'].classify_regions(image, [[1, 2, 30, 40]], names)
    model = rsc_mm.load(TINY, device='cpu')
    model.detector = Found()
    page = demo.Demo({'tower': towers['one'], 'detector': model})
    request = dict(image=examples[0], names='star, dots')
    assert list(page.regions(demo.Request(**request))) == ['detector']
    assert list(page.regions(demo.Request(**request, boxes='1 2 30 40'))) == ['tower', 'detector']


def test_links_restore_the_state(demo, examples):
    from urllib.parse import parse_qsl
    state = demo.Request(examples[2], '2', 'a & b; c, ü', '1, 2', '1 2 3 4\n5 6 7 8')
    query = dict(parse_qsl(demo.write_query(state, 'affinity')))
    assert demo.read_query(query, examples) == (state, 'affinity')
    own = demo.write_query(demo.Request('/private/photo.jpg', '', 'dog'), 'class_map')
    assert own == 'names=dog&show=class_map'
    for strange in ({'example': '99'}, {'example': '-1'}, {'example': '²'}, {'show': 'answer'}, {'image': '/a/b'}):
        assert demo.read_query(strange, examples) == (demo.Request(), '')


def test_titles_tell_towers_apart(demo, tmp_path):
    shutil.copy(TINY, tmp_path / 'other.pt')
    found = demo.load_towers([str(TINY), str(tmp_path / 'other.pt'), str(TINY)], device='cpu')
    assert list(found) == ['shapes_clip', 'other', 'shapes_clip (3)']
    with pytest.raises(ValueError, match='towers: found 4, expected 1 to 3'):
        demo.Demo({**found, 'fourth': None})
    with pytest.raises(ValueError, match='found no detector in .*shapes_clip.pt'):
        demo.load_towers([], ('configs/shapes/region_classification.py', str(TINY)), device='cpu')


@pytest.fixture(scope='module')
def opened(modules, towers, examples, tmp_path_factory):
    """The page at its address, and the page's Demo."""
    demo, app = modules
    pytest.importorskip('gradio', reason='gradio is not installed ([web])')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, 'environ', os.environ.copy())
        gradio = app.import_gradio(str(tmp_path_factory.mktemp('gradio')))
        answers = demo.Demo(towers)
        page = app.build_page(answers, examples, gradio)
        yield page, app.launch(page, gradio, '127.0.0.1', None, block=False), answers
        page.close()


# Of gradio and its libraries about themselves.
IGNORED = [pytest.mark.filterwarnings('ignore::DeprecationWarning'), pytest.mark.filterwarnings('ignore::UserWarning'),
           pytest.mark.filterwarnings('ignore::ResourceWarning'),
           pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')]


@pytest.mark.slow
class TestOpened:
    pytestmark = IGNORED

    def test_fifty_requests_are_answered_in_order_and_to_whom_they_belong(self, opened, examples, monkeypatch,
                                                                          tmp_path):
        page, address, answers = opened
        from gradio_client import Client, handle_file
        Image.open(examples[1]).crop((0, 0, 240, 30)).save(strip := tmp_path / 'strip.png')  # few pixels and tokens
        seen = []
        answer = answers.answer
        monkeypatch.setattr(answers, 'answer', lambda action, state: seen.append(state.point) or answer(action, state))
        clients = [Client(address, verbose=False, download_files=False) for _ in range(5)]
        points = [f'{5 + 4 * i}, {3 + i // 2}' for i in range(50)]
        file, jobs = handle_file(strip), []
        with answers.lock:  # nothing is answered until all wait
            for i, point in enumerate(points):
                jobs.append(clients[i % 5].submit(file, '1', NAMES, point, '', api_name='/affinity'))
                wait_until(lambda count=i + 1: waiting(page) >= count)
        results = [job.result(timeout=120) for job in jobs]
        assert seen == points
        state = answers.towers['one']
        for point, result in list(zip(points, results))[::7]:
            x, y = map(float, point.split(','))
            expected = pixels(state.affinity(strip, (x, y)).picture())
            assert np.array_equal(pixels(Image.open(picture_of(result[2]))), expected)
        links = [point.replace(', ', '%2C+') for point in points]
        assert all(f'point={link}&' in result[1]['value'] for link, result in zip(links, results))

    def test_an_error_is_in_the_page(self, opened, examples):
        from gradio_client import Client, handle_file
        client = Client(opened[1], verbose=False)
        found = client.predict(handle_file(examples[0]), '0', '<b>star</b>, <b>star</b>', '', '', api_name='/class_map')
        assert 'class="error"' in found[0] and '&lt;b&gt;star&lt;/b&gt;' in found[0] and not found[1]['visible']


CHROMIUMS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')


@pytest.fixture(scope='module')
def browser():
    """A headless Chromium: of the PATH, or the one that playwright installed (PLAYWRIGHT_BROWSERS_PATH)."""
    playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed ([browser])')
    with playwright.sync_playwright() as run:
        path = next(filter(None, map(shutil.which, CHROMIUMS)), run.chromium.executable_path)
        if not os.path.exists(path):
            pytest.skip(f'no Chromium: none of {CHROMIUMS} on PATH, none by `playwright install chromium`')
        browser = run.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.mark.slow
class TestInABrowser:
    """What a user sees and does; the screenshots lie in the temporary folder of each test."""

    pytestmark = IGNORED

    @pytest.fixture
    def visit(self, opened, browser):
        """The page in a fresh window of a given width."""
        contexts = []

        def visit(width, query=''):
            contexts.append(browser.new_context(viewport=dict(width=width, height=900)))
            contexts[-1].set_default_timeout(60_000)
            page = contexts[-1].new_page()
            page.goto(opened[1] + query)
            page.locator('#names textarea').wait_for()
            return page

        yield visit
        for context in contexts:
            context.close()

    def test_choose_an_example_type_names_click_a_point(self, visit, towers, examples, tmp_path):
        page, model = visit(1280), towers['one']
        page.locator('#examples button').nth(2).click()
        page.locator('#message h3', has_text='Class map').wait_for()
        page.locator('#names textarea').fill(NAMES)
        shown = source(page, 'tower0')
        page.get_by_role('button', name='Class map', exact=True).click()
        names = ['star', 'heart; love', 'dots']
        pictures = [picture(page, f'tower{i}', after=shown) for i in range(3)]
        expected = pixels(model.class_map(examples[2], names).picture())  # with its legend
        assert all(np.array_equal(found, expected) for found in pictures)
        sides = [page.locator(f'#tower{i}').bounding_box() for i in range(3)]
        assert sides[0]['y'] == sides[1]['y'] == sides[2]['y']
        assert all(a['x'] + a['width'] <= b['x'] for a, b in zip(sides, sides[1:]))
        page.screenshot(path=tmp_path / 'class_map.png', full_page=True)

        shown = source(page, 'tower0')
        page.locator('#image img').click(position=dict(x=60, y=90))
        page.locator('#message h3', has_text='Affinity to the point').wait_for()
        found = picture(page, 'tower0', after=shown)
        x, y = map(int, page.locator('#point').locator('input, textarea').input_value().split(','))
        assert np.array_equal(found, pixels(model.affinity(examples[2], (x, y)).picture()))
        page.screenshot(path=tmp_path / 'affinity.png', full_page=True)

        link = page.locator('#link').locator('input, textarea').input_value()
        again = visit(1280, '?' + link.partition('?')[2])
        assert np.array_equal(picture(again, 'tower0'), found)
        assert again.locator('#names textarea').input_value() == NAMES

    def test_drop_an_own_image_and_read_an_error(self, visit, towers, tmp_path):
        page, own = visit(1280), PROJECT.parent / 'shapes_clip/scene.jpg'
        page.locator('#image img').wait_for()
        drop(page, own)
        page.locator('#names textarea').fill('<b>star</b>, <b>star</b>')
        button = page.get_by_role('button', name='Class map', exact=True)
        button.click()
        error = page.locator('#message .error')
        error.wait_for()
        assert "found ['<b>star</b>'] twice" in error.inner_text() and error.get_attribute('role') == 'alert'
        assert not page.locator('#tower0 img').is_visible() and not page.locator('#link').is_visible()
        page.screenshot(path=tmp_path / 'error.png', full_page=True)
        page.locator('#names textarea').fill(NAMES)
        button.click()
        expected = towers['one'].class_map(own, ['star', 'heart; love', 'dots']).picture()
        assert np.array_equal(picture(page, 'tower0'), pixels(expected))
        assert not error.is_visible()

    def test_a_phone_scrolls_down_only(self, visit, tmp_path):
        page = visit(390)
        page.get_by_role('button', name='Class map', exact=True).click()
        picture(page, 'tower2')
        page.screenshot(path=tmp_path / 'phone.png', full_page=True)
        assert page.evaluate('document.documentElement.scrollWidth') <= 390
        sides = [page.locator(f'#tower{i}').bounding_box() for i in range(3)]
        assert all(a['y'] + a['height'] <= b['y'] for a, b in zip(sides, sides[1:]))  # one below the other
        assert all(0 <= side['x'] and side['x'] + side['width'] <= 390 for side in sides)


def source(page, element):
    return page.locator(f'#{element} img').get_attribute('src')


def picture(page, element, after=None):
    """Pixels of the picture in an element of the page, once another one than ``after`` is there."""
    image = page.locator(f'#{element} img')
    image.wait_for()
    if after:
        page.wait_for_function('([id, old]) => document.querySelector(`#${id} img`).getAttribute("src") !== old',
                               arg=[element, after])
    return pixels(Image.open(io.BytesIO(page.request.get(image.evaluate('image => image.src')).body())))


def drop(page, path):
    """A file dropped on the image, as from the desktop."""
    data = page.evaluate_handle("""([bytes, name]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/jpeg'}));
        return data;
    }""", [list(path.read_bytes()), path.name])
    before = source(page, 'image')
    page.locator('#image img').dispatch_event('drop', dict(dataTransfer=data))
    page.wait_for_function('old => document.querySelector("#image img")?.getAttribute("src") !== old', arg=before)
    page.locator('#image img').wait_for()


def waiting(page):
    queues = page._queue.event_queue_per_concurrency_id.values()
    return sum(len(queue.queue) + queue.current_concurrency for queue in queues)


def wait_until(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError


def picture_of(update):
    value = update['value'] if isinstance(update, dict) and 'value' in update else update
    return value['path'] if isinstance(value, dict) else value


@pytest.mark.slow
def test_nothing_is_written_beside_the_temporary_folder(tmp_path):
    """The page as its command opens it: no network, nothing in the working directory or at home."""
    pytest.importorskip('gradio', reason='gradio is not installed ([web])')
    (tmp_path / 'home').mkdir(), (tmp_path / 'tmp').mkdir(), (tmp_path / 'cwd').mkdir()
    env = {**os.environ, 'HOME': str(tmp_path / 'home'), 'TMPDIR': str(tmp_path / 'tmp'),
           'PYTHONPATH': str(PROJECT.parents[1]) + os.pathsep + os.environ.get('PYTHONPATH', '')}
    command = [sys.executable, '-W', 'ignore', str(PROJECT / 'app.py'), '--port', '0', '--device', 'cpu']
    with subprocess.Popen(command, cwd=tmp_path / 'cwd', env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        killer = threading.Timer(120, process.kill)
        killer.start()
        first = process.stdout.readline()
        process.terminate()
        process.wait(30)
        killer.cancel()
        assert 'http://127.0.0.1:' in first, first + process.stdout.read()
    assert list((tmp_path / 'tmp').iterdir()) == []
    assert list((tmp_path / 'cwd').iterdir()) == []
    assert [path for path in (tmp_path / 'home').rglob('*') if path.is_file()] == []
