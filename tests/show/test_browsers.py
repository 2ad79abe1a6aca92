"""The browsers in which pages are tested report what goes wrong there."""

from __future__ import annotations

from pathlib import Path

from fixtures.browsers.base import Browser

PAGE = """<!doctype html><meta http-equiv="Content-Security-Policy" content="script-src 'unsafe-inline'">
<script>
console.warn("warned");
setTimeout(() => { throw new Error("thrown"); });
const asked = [fetch("http://127.0.0.1:45678/asked"), import("http://127.0.0.1:45678/forbidden.js")];
Promise.allSettled(asked).then(() => setTimeout(() => { window.over = true; }, 50));
</script>"""


def test_errors_words_and_requests_of_a_page_are_seen(tmp_path: Path, browser: Browser) -> None:
    path = tmp_path / "bad.html"
    path.write_text(PAGE)
    browser.go(path.as_uri())
    browser.until("window.over")
    for word in ("thrown", "warned", "forbidden.js"):
        assert any(word in told for told in browser.complaints()), (word, browser.complaints())
    assert "http://127.0.0.1:45678/asked" in browser.requests()
