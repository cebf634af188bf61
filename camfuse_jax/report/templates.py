"""How the pages are made from their templates: all text escaped, style and script admitted by their hashes."""

import base64
import hashlib

import jinja2
import markupsafe


def environment(*packages: str) -> jinja2.Environment:
    """Templates of this folder, and first of all of other packages' folders.

    Args:
        *packages: Names of sub-packages of camfuse_jax, such as `serve`.
    """
    loaders = [jinja2.PackageLoader("camfuse_jax", name) for name in (*packages, "report")]
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["csp_hash"] = lambda text: markupsafe.Markup(csp_hash(text))
    made.filters["breakable"] = _breakable
    return made


def csp_hash(text: str) -> str:
    """The source expression by which a content security policy admits exactly this text."""
    digest = base64.b64encode(hashlib.sha256(str(text).encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _breakable(text: str) -> markupsafe.Markup:
    """A name that may be broken after its underscores: on a telephone long ones do not fit a line."""
    return markupsafe.escape(text).replace("_", markupsafe.Markup("_<wbr>"))
