"""The live page of `camfuse serve`: what it says while two sources are fused, and how it ends."""

import numpy as np
from served import served
from small_nets import small_params
from starlette.responses import JSONResponse, Response

from camfuse_jax.images.write import picture_bytes
from camfuse_jax.serve.app import make_app


class _View:
    """In place of `LiveView`: what it says while it goes on."""

    names = ("live:i.mp4", "live:v.mp4")

    def __init__(self, **state):
        self.state = state

    async def facts(self, _):
        return JSONResponse(self.state)

    async def stream(self, _):
        return Response(picture_bytes(np.zeros((48, 64), np.uint8)), media_type="image/png")


def test_the_live_page_says_how_it_goes(browser):
    view = _View(rate=12.34, delay=0.0567, dropped=3, size=[64, 48], notes=["One.", "Two."], ended="")
    with served(make_app(small_params(), live=view)) as port:
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{port}/live")
        tab.locator("#rate", has_text="12.3 frames a second").wait_for()
        assert tab.locator("#delay").text_content() == "57 ms"
        assert tab.locator("#dropped").text_content() == "3 frames"
        assert tab.locator("#size").text_content() == "64 \N{MULTIPLICATION SIGN} 48 pixels"
        assert tab.locator("#notes").text_content() == "One. Two."
        tab.wait_for_function("() => document.getElementById('stream').naturalWidth === 64")
        view.state |= {"rate": None, "delay": None, "ended": "The sources have ended."}
        tab.locator("#status", has_text="The sources have ended.").wait_for()
        tab.close()
