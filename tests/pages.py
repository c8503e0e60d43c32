"""HTML pages, looked at as a browser does."""

from html.parser import HTMLParser


class Checker(HTMLParser):
    """Collects tags that do not close, and addresses that something would be loaded from."""

    VOID = frozenset({"meta", "line", "rect", "br", "polyline", "circle", "img", "input"})

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
