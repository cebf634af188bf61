"""The page's application on a port of this process, and requests as a browser would not send them."""

import contextlib
import http.client
import json
import threading
import time
import urllib.parse
import uuid

import uvicorn

from camfuse_jax.serve.server import Connection, listening, server_config


@contextlib.contextmanager
def served(app, connection=Connection):
    """Serves an application; gives the port."""
    with listening("127.0.0.1", 0, remote=False) as listener:
        server = uvicorn.Server(server_config(app, connection))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def ask(port, method="GET", path="/", body=None, headers=(), host=None, source="127.0.0.1"):
    """One request, its path sent as it is; gives status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in (("Host", host or f"127.0.0.1:{port}"), *headers):
            connection.putheader(name, value)
        if body is not None and not any(name.lower() == "transfer-encoding" for name, _ in headers):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        # A server that refuses early stops listening; its reply is there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send(body or b"")
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()


def form(files, fields=()):
    """A multipart form: files as (field, name, content), fields as (field, text); gives body and headers."""
    mark = uuid.uuid4().hex
    parts = [
        (f'name="{field}"; filename="{name}"\r\nContent-Type: image/png', content) for field, name, content in files
    ]
    parts += [(f'name="{field}"', text.encode()) for field, text in fields]
    body = b"".join(
        f"--{mark}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    )
    return body + f"--{mark}--\r\n".encode(), (("Content-Type", f"multipart/form-data; boundary={mark}"),)


def send(port, ir, vis, *, names=("ir.png", "vis.png"), fields=(), **how):
    """POST /pairs; gives status and the JSON reply."""
    body, headers = form([("ir", names[0], ir), ("vis", names[1], vis)], fields)
    status, _, reply = ask(port, "POST", "/pairs", body, headers, **how)
    return status, json.loads(reply)


def get(port, token, kind, **balance):
    """GET of a result or of the maps; gives status and body."""
    status, _, reply = ask(port, path=f"/pairs/{token}/{kind}?{urllib.parse.urlencode(balance)}")
    return status, reply


def fuse(port, ir, vis, fields=(), **balance):
    """Sends a pair and asks for its result; gives what the pair is described as and the file."""
    status, described = send(port, ir, vis, fields=fields)
    assert status == 200, described
    status, result = get(port, described["token"], "result", **balance)
    assert status == 200, result
    return described, result
