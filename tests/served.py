"""The page's application on a port of this process, and requests as a browser would not send them."""

import contextlib
import http.client
import json
import threading
import time
import uuid

import uvicorn


@contextlib.contextmanager
def served(app):
    """Serves an application; gives the port."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", ws="none", http="h11", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def ask(port, method="GET", path="/", body=None, headers=(), host=None):
    """One request, its path sent as it is; gives status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in (("Host", host or f"127.0.0.1:{port}"), *headers):
            connection.putheader(name, value)
        if body is not None and not any(name.lower() == "transfer-encoding" for name, _ in headers):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        # A server that refuses early stops listening; its answer is there all the same.
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


def fuse(port, ir, vis, *, names=("ir.png", "vis.png"), fields=(), **how):
    """POST /fuse; gives status and what is told."""
    body, headers = form([("ir", names[0], ir), ("vis", names[1], vis)], fields)
    status, _, told = ask(port, "POST", "/fuse", body, headers, **how)
    return status, json.loads(told)
