"""What `camfuse serve` hands on to the server, and what it says; the server itself stands aside here."""

import contextlib
import signal

import pytest
from small_nets import small_params

from camfuse_jax.cli import main
from camfuse_jax.fusion.params import save_params
from camfuse_jax.images.bounds import Limits
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.serve import live, server
from camfuse_jax.serve.request import Bounds
from camfuse_jax.system.program import Stop


class _View:
    """In place of `LiveView`, which would open its sources."""

    def __init__(self, params, *given):
        self.given = given

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Runs the command; gives its exit code and what the server was given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "")
    save_params(tmp_path / "w.safetensors", small_params())

    def run(*arguments, exposed=False, stop=None):
        given = {}

        def listening(host, port, **options):
            given.update(place=(host, port), **options)
            return contextlib.nullcontext()

        def serve(listener, params, **options):
            given.update(params=params, **options)
            options["ready"]("http://a:1/", exposed)
            if stop is not None:
                raise Stop(stop)

        monkeypatch.setattr(server, "listening", listening)
        monkeypatch.setattr(server, "serve", serve)
        monkeypatch.setattr(live, "LiveView", _View)
        return main(["serve", "--weights", "w.safetensors", *arguments]), given

    return run


def test_what_is_chosen_is_handed_on(asked, capsys):
    code, given = asked(
        *("--host", "camera.lan", "--port", "9", "--rule", "max", "--max-megapixels", "3", "--max-megabytes", "7"),
        *("--queue", "9", "--live", "live:i.mp4", "live:v.mp4"),
    )
    assert (code, given["place"], given["host"]) == (0, ("camera.lan", 9), "camera.lan")
    assert (given["weights"], given["params"].fusion.rule) == ("w.safetensors", "max")
    limits = Limits(3_000_000, 7_000_000)
    assert given["bounds"] == Bounds(limits, 7_000_000, 9)
    assert given["live"].given == ("live:i.mp4", "live:v.mp4", FrameSettings(fit="vis"), limits)
    assert capsys.readouterr().out == "serving: http://a:1/ (Ctrl-C ends it)\nlive: http://a:1/live\n"


def test_without_options_only_this_computer_is_served(asked, capsys):
    code, given = asked()
    assert (code, given["place"], given["remote"]) == (0, ("127.0.0.1", 8350), False)
    assert (given["bounds"], given["live"], given["params"].fusion.rule) == (Bounds(), None, "eq5")
    assert "warning" not in capsys.readouterr().err
    asked("--remote", exposed=True)
    assert "warning: other computers can reach this page" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_the_exit_code(asked, number, code):
    assert asked(stop=number)[0] == code
