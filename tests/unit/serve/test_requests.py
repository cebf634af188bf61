"""Requests to the page's server that are replied to, and that are refused; some that no browser would send."""

import io
import json
import tempfile
from importlib import resources

import numpy as np
import pytest
from PIL import Image
from served import ask, form, fuse, get, send, served
from small_nets import small_params

from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import picture_bytes
from camfuse_jax.serve.app import make_app
from camfuse_jax.serve.request import Bounds

HEIGHT, WIDTH = 41, 53
MAX_BYTES = 60_000


@pytest.fixture(scope="module")
def pair():
    return tuple(picture_bytes(image) for image in synthetic_pair(3, HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def port():
    bounds = Bounds(Limits(10_000, MAX_BYTES), MAX_BYTES, seconds=1.5)
    with served(make_app(small_params(), bounds=bounds, names=("camera.lan",))) as port:
        yield port


@pytest.fixture(autouse=True)
def no_files(tmp_path, monkeypatch):
    """Nothing may touch the disk: no temporary file in whatever way Python makes one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def refuse(*_, **__):
        raise AssertionError("a temporary file")

    for maker in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, maker, refuse)
    yield
    assert list(tmp_path.iterdir()) == []


def picture(content):
    return read_picture(content, name="reply")


def test_the_page_is_one_document_with_a_strict_policy(port):
    status, headers, body = ask(port)
    assert status == 200
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; img-src 'self' data: blob:; connect-src 'self'; style-src 'sha256-")
    assert policy.endswith("; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    text = body.decode()
    assert "http://" not in text
    assert "https://" not in text
    assert " style=" not in text
    assert text.count("<script>") == 1


def test_color_depth_alpha_and_profile_are_kept(port, pair):
    vis = synthetic_pair(3, HEIGHT, WIDTH)[1].astype(np.uint16) * 257 + 3
    deep = picture_bytes(np.stack([vis, vis // 2, 65535 - vis], -1), alpha=vis, icc=b"profile" * 9)
    described, content = fuse(port, pair[0], deep)
    result = picture(content)
    assert result.samples.dtype == np.uint16
    assert result.samples.shape == (HEIGHT, WIDTH, 3)
    assert len(np.unique(result.samples)) > 300
    np.testing.assert_array_equal(result.alpha, vis)
    assert result.icc == b"profile" * 9
    assert (described["bits"], described["color"], described["alpha"]) == (16, True, True)


def test_the_demo_pair_is_that_of_the_package(port):
    for kind in ("ir", "vis"):
        status, headers, body = ask(port, path=f"/demo/{kind}")
        assert (status, headers["content-type"]) == (200, "image/png")
        assert body == (resources.files("camfuse_jax") / "demo" / f"{kind}.png").read_bytes()


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/demo/../../pyproject.toml", "/demo/%2e%2e%2f%2e%2e%2fcli.py", "/demo/..", "/demo/ir.png",
     "/demo/ir/../vis", "//etc/passwd", "/static/app.py", "/pairs/x", "/pairs//maps", "/live", "/live/stream"],
)  # fmt: skip
def test_no_path_leads_anywhere(port, path):
    status, _, body = ask(port, path=path)
    assert status == 404
    assert b"root:" not in body


@pytest.mark.parametrize(
    "name",
    ["../../../evil.png", "/etc/cron.d/evil", "..\\..\\evil.png", "C:\\evil.png", "evil\x01\x7f.png", "a" * 300],
)
def test_a_file_name_is_only_shown(port, pair, name):
    status, reply = send(port, pair[0], b"no image", names=("ir.png", name))
    assert status == 422
    assert "(visible) is not an image that can be read" in reply["error"]
    shown = reply["error"].partition(" (visible)")[0]
    assert len(shown) <= 80
    assert not set(shown) & set("/\\\x01\x7f")


def test_bad_images_are_named(port, pair):
    ir, vis = pair
    gif = io.BytesIO()
    Image.new("L", (9, 9)).save(gif, "GIF")
    wide = io.BytesIO()
    Image.new("L", (20_000, 20_000)).save(wide, "PNG")
    cases = {
        "cut.png": (vis[: len(vis) // 2], "not a whole"),
        "empty.png": (b"", "is empty (0 bytes)"),
        "moving.png": (gif.getvalue(), "is a GIF, which is not read"),
        "page.png": (b"<svg xmlns='x'/>", "is not an image that can be read"),
        "bomb.png": (wide.getvalue()[:20_000], "at most 0.01 megapixels"),
    }
    for name, (content, why) in cases.items():
        status, reply = send(port, ir, content, names=("fine.png", name))
        assert status == 422
        assert reply["error"].startswith(f"{name} (visible)")
        assert why in reply["error"]
    status, reply = send(port, vis[:100], vis, names=("thermal.png", "fine.png"))
    assert (status, reply["error"][:22]) == (422, "thermal.png (infrared)")
    small = picture_bytes(np.zeros((9, 9), np.uint8))
    status, reply = send(port, small, vis)
    assert status == 422
    assert "9 x 9" in reply["error"]
    assert send(port, small, vis, fields=(("fit", "vis"),))[0] == 200


def test_settings_with_no_such_value(port, pair):
    for field, value in (
        ("ir_gain", "2"), ("maps", "1"), ("fit", "both"), ("gray", "yes"), ("bits", "12"),
        ("ir_polarity", ""), ("ir_range", "fixed:2,1"), ("out", "/tmp".strip("/")), ("ir_range", "x" * 500),
    ):  # fmt: skip
        status, reply = send(port, *pair, fields=((field, value),))
        assert status == 400, (field, value)
        assert reply["error"]
    token = send(port, *pair)[1]["token"]
    for field, value in (("ir_gain", "x"), ("ir_gain", "-1"), ("vis_gain", "nan"), ("look", "2"), ("bits", "8")):
        status, reply = get(port, token, "preview", **{field: value})
        assert status == 400, (field, value)
        assert json.loads(reply)["error"]


def test_requests_that_are_no_form_of_two_images(port, pair):
    ir, vis = pair
    json_type = (("Content-Type", "application/json"),)
    bodies = [
        (b"{}", json_type),
        (b"", ()),
        (b"x", (("Content-Type", "multipart/form-data"),)),
        (b"no form", (("Content-Type", "multipart/form-data; boundary=x"),)),
        form([("ir", "a.png", ir)]),
        form([("ir", "a.png", ir), ("ir", "b.png", vis)]),
        form([("ir", "a.png", ir), ("vis", "b.png", vis), ("more", "c.png", b"")]),
        form([], [("ir", "text"), ("vis", "text")]),
        form([("ir", "a.png", ir), ("vis", "b.png", vis)], [("gray", "0"), ("gray", "1")]),
        form([("ir", "a.png", ir), ("vis", "b.png", vis)], [(f"f{i}", "") for i in range(50)]),
    ]
    whole, headers = form([("ir", "a.png", ir), ("vis", "b.png", vis)])
    bodies.append((whole[: len(whole) // 2], headers))
    for body, headers in bodies:
        status, _, reply = ask(port, "POST", "/pairs", body, headers)
        assert status == 400, reply
        assert json.loads(reply)["error"]
    assert ask(port, "GET", "/pairs")[0] == 405
    assert ask(port, "PUT", "/")[0] == 405


def test_too_much_is_refused_with_and_without_a_length(port, pair):
    body, headers = form([("ir", "a.png", bytes(MAX_BYTES)), ("vis", "b.png", pair[1])])
    status, _, reply = ask(port, "POST", "/pairs", body, headers)
    assert status == 413
    assert "0.06 MB" in json.loads(reply)["error"]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:30_000], body[30_000:])) + b"0\r\n\r\n"
    status, _, reply = ask(port, "POST", "/pairs", chunked, (*headers, ("Transfer-Encoding", "chunked")))
    assert status == 413
    assert send(port, *pair)[0] == 200


def test_large_uploads_stay_in_memory():
    """Starlette's own parser moves files of more than 1 MB to the disk; here `no_files` would see it."""
    large = picture_bytes(np.random.default_rng(0).integers(0, 256, (1200, 1200), np.uint8))
    assert len(large) > 1_400_000
    with served(make_app(small_params())) as port:
        assert send(port, large, large)[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("LOCALHOST:9000", 200), ("127.0.0.1", 200), ("[::1]:8350", 200), ("camera.lan", 200),
     ("evil.example", 421), ("evil.example:8350", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil", 421),
     ("192.168.1.7", 421), ("0.0.0.0:8350", 421), ("[::1", 421), ("a@localhost.evil.example", 421)],
)  # fmt: skip
def test_only_known_hosts_are_answered(port, pair, host, status):
    assert ask(port, host=host)[0] == status
    found, reply = send(port, *pair, host=host)
    assert found == status
    assert ("token" in reply) == (status == 200)


def test_a_remote_page_answers_any_address_but_no_unknown_name(pair):
    with served(make_app(small_params(), names=("camera.lan",), remote=True)) as port:
        assert ask(port, host="192.168.1.7:8350")[0] == 200
        assert ask(port, host="evil.example")[0] == 421


def test_other_pages_cannot_send_forms(port, pair):
    body, headers = form([("ir", "a.png", pair[0]), ("vis", "b.png", pair[1])])
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"):
        assert ask(port, "POST", "/pairs", body, (*headers, ("Origin", origin)))[0] == 403
    assert ask(port, "POST", "/pairs", body, (*headers, ("Origin", f"http://127.0.0.1:{port}")))[0] == 200
