"""Towers by their name on the hub: against a server on this machine that answers as the hub does."""
import hashlib
import json
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import huggingface_hub
import numpy as np
import pytest

import rsc_mm
from rsc_mm.apis import hub, load_config
from rsc_mm.apis.publishing import publish
from rsc_mm.utils.checkpoint import CheckpointError
from tests.test_tools.common import REPOSITORY

CLIP = REPOSITORY / 'projects/shapes_clip/shapes_clip.pt'
COMMIT = '0123456789' * 4
IMAGE = np.zeros((40, 60, 3), np.uint8)


class HubHandler(BaseHTTPRequestHandler):
    """The hub's answers about one repository, owner/tiny."""

    files: dict[str, bytes] = {}

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        status, body, headers = self.find(self.path.partition('?')[0])
        self.send_response(status)
        for key, value in {'Content-Length': len(body), **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def find(self, path):
        if path.startswith('/api/models/owner/tiny/tree/'):
            rows = [dict(type='file', path=name, size=len(content), oid=hashlib.sha1(content).hexdigest())
                    for name, content in self.files.items()]
            return 200, json.dumps(rows).encode(), {'Content-Type': 'application/json'}
        if path in ('/api/models/owner/tiny', '/api/models/owner/tiny/revision/main'):
            body = dict(id='owner/tiny', modelId='owner/tiny', sha=COMMIT, siblings=[], private=False, tags=[])
            return 200, json.dumps(body).encode(), {'Content-Type': 'application/json'}
        if path.startswith('/api/models/owner/tiny/revision/'):
            return 404, b'', {'X-Error-Code': 'RevisionNotFound', 'X-Error-Message': 'no such revision'}
        name = path.rpartition('/')[2]
        if path.startswith('/owner/tiny/resolve/') and name in self.files:
            content = self.files[name]
            return 200, content, {'ETag': f'"{hashlib.sha1(content).hexdigest()}"', 'X-Repo-Commit': COMMIT}
        return 404, b'', {'X-Error-Code': 'RepoNotFound', 'X-Error-Message': 'no such repository'}

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A hub without files; its handler's ``files`` are what the repository holds."""
    HubHandler.files = {}
    with ThreadingHTTPServer(('127.0.0.1', 0), HubHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_address[1]}'
        monkeypatch.setattr(hub, 'snapshot_download', partial(
            huggingface_hub.snapshot_download, endpoint=address, cache_dir=tmp_path / 'cache', token=False))
        yield server
        server.shutdown()


def published(tmp_path):
    """The files of the tiny tower as a folder for the hub."""
    publish(load_config('configs/shapes/region_classification.py'), CLIP, tmp_path / 'tiny', CLIP)
    return {path.name: path.read_bytes() for path in (tmp_path / 'tiny').iterdir()}


def test_a_name_is_downloaded_once(server, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    HubHandler.files = {**published(tmp_path), 'huge.bin': b'not asked for'}
    model = rsc_mm.load('hf-hub:owner/tiny', device='cpu')
    np.testing.assert_allclose(model.encode_image(IMAGE), rsc_mm.load(CLIP, device='cpu').encode_image(IMAGE),
                               atol=1e-3)
    assert not list((tmp_path / 'cache').rglob('huge.bin'))
    server.shutdown()
    server.server_close()
    again = rsc_mm.load('hf-hub:owner/tiny', device='cpu')  # from the cache: nobody answers any more
    np.testing.assert_array_equal(again.encode_image(IMAGE), model.encode_image(IMAGE))


@pytest.mark.parametrize(('name', 'error', 'message'), [
    ('hf-hub:owner/other', FileNotFoundError, r"hf-hub:owner/other: asked the hub for the repository 'owner/other', "
     r"found none that is open to you \(RepositoryNotFoundError\); check the name.*rsc_mm.load\('FOLDER'\)"),
    ('hf-hub:owner/tiny@v9', FileNotFoundError, "repository 'owner/tiny' at 'v9', found none"),
    ('hf-hub:owner/tiny/x', ValueError, "found the repository 'owner/tiny/x', expected 'hf-hub:owner/name'"),
    ('hf-hub:owner/tiny', ValueError, 'found no config.json in the repository, expected a folder that tools/conv')])
def test_what_is_not_there_is_named(server, name, error, message):
    HubHandler.files = {'README.md': b'nothing', 'x.safetensors': b'x'}
    with pytest.raises(error, match=message):
        rsc_mm.load(name)


def test_without_a_network_a_folder_is_asked_for(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError, match=r"hf-hub:owner/tiny: asked the hub for the repository 'owner/tiny'; it "
                       r"cannot be reached from this machine \(ConnectError: .*is not in the cache. A folder that was "
                       r"downloaded elsewhere \(hf download owner/tiny\) is loaded by its path"):
        rsc_mm.load('hf-hub:owner/tiny')


def test_a_folder_of_others_builds_towers_only(server, tmp_path, monkeypatch):
    """MMEngine would import and call what a dotted name says."""
    monkeypatch.chdir(REPOSITORY)
    files = published(tmp_path)
    meta = json.loads(files['config.json'])
    meta['rsc_mm'].update(backbone='torch.hub.load', backbone_fields=dict(repo_or_dir='a/b', model='c'))
    HubHandler.files = {**files, 'config.json': json.dumps(meta).encode()}
    with pytest.raises(CheckpointError, match="found the 'backbone' 'torch.hub.load' in its metadata"):
        rsc_mm.load('hf-hub:owner/tiny')
