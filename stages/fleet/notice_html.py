"""Pages as trees: what is text is escaped because it is text, and only a tag is no text. Pure.

A page is one file: no script, nothing from elsewhere, its one style named by its hash in the Content-Security-Policy
(CSP level 3, section 2.3.1), so that a browser that was tricked into more does nothing with it.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

#: Elements without an end tag (HTML, section 13.1.2).
_VOID: Final = frozenset({"meta", "link", "input", "br"})

#: Contrast is 7:1 or more in both schemes (WCAG 2.2, 1.4.6).
STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #f1f3f5; --link: #0b4aa2; --edge: #8a939c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #15181c; --soft: #22272d; --link: #9cc3ff; --edge: #7d8791; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 system-ui, sans-serif; }
main, footer { max-width: 46rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
footer { font-size: .9rem; border-top: 1px solid var(--edge); }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 1rem 0; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2rem 0 .5rem; }
a { color: var(--link); }
a:focus-visible, button:focus-visible, input:focus-visible, textarea:focus-visible {
  outline: 3px solid var(--link); outline-offset: 2px;
}
code, pre { font: .95em/1.5 ui-monospace, monospace; background: var(--soft); border-radius: .25rem; }
code { padding: .1em .3em; }
pre { padding: .75rem; white-space: pre-wrap; }
.call { border-left: .3rem solid var(--link); background: var(--soft); padding: .5rem 1rem; }
label { display: block; font-weight: 600; margin-top: 1rem; }
input, textarea { width: 100%; font: inherit; color: inherit; background: var(--paper);
  border: 1px solid var(--edge); border-radius: .25rem; padding: .5rem; }
button { margin-top: 1rem; padding: .6rem 1.2rem; font: inherit; font-weight: 600; border: 0; border-radius: .25rem;
  background: var(--link); color: var(--paper); cursor: pointer; }
.hint { font-size: .9rem; margin: .2rem 0; }
"""

#: What a page may do: use its style, show its empty icon, send its form back to where it came from.
_ALLOWED: Final = (
    "default-src 'none'; style-src 'sha256-" + b64encode(sha256(STYLE.encode()).digest()).decode() + "'; "
    "img-src data:; form-action 'self'; base-uri 'none'"
)
#: As a header it may say besides that nobody frames the page.
POLICY: Final = f"{_ALLOWED}; frame-ancestors 'none'"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(words: str) -> Html:
    """What is no tag. A control character that HTML forbids (section 13.2.3.5) is replaced."""
    clean = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in words)
    return Html(escape(clean, quote=True))


def tag(element: str, /, *children: str, **attributes: str | int | bool | None) -> Html:
    """An element. `class_` is the attribute class, `http_equiv` is http-equiv; False and None leave one out."""
    shown = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        shown += f" {word}" if value is True else f' {word}="{text(str(value))}"'
    if element in _VOID:
        return Html(f"<{element}{shown}>")
    return Html(f"<{element}{shown}>{joined(*children)}</{element}>")


def joined(*children: str) -> Html:
    """One after the other."""
    return Html("".join(child if isinstance(child, Html) else text(child) for child in children))


def link(url: str, words: str | None = None) -> Html:
    """`url` is one of ours, or was validated (`notice.Url`)."""
    return tag("a", words or url, href=url)


def bullets(items: list[str]) -> Html:
    return tag("ul", *(tag("li", item) for item in items))


def paragraphs(words: str) -> Html:
    """An empty line begins a new one."""
    return joined(*(tag("p", " ".join(part.split())) for part in words.split("\n\n") if part.strip()))


def document(title: str, *body: str, foot: str = "") -> str:
    """A whole page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_ALLOWED),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    parts = [tag("main", tag("h1", title), *body)]
    if foot:
        parts.append(tag("footer", foot))
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', *parts), lang='en')}\n"
