"""Collected static files: the pages' scripts and style sheets bundled and minified, all hashed and compressed."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core.files.base import ContentFile
from servestatic.compress import Compressor
from servestatic.storage import CompressedManifestStaticFilesStorage

from chat.views.page_files import SCRIPTS, STYLES, VENDOR, bundled_sheet, module_name, stylesheets

LARGE: Final = 500_000  # bytes; Brotli's best takes 2 s of CPU for each of them, and gains a tenth
CONTENTS: Final = "bundles.json"  # what `Scripts` knows of pages and chunks


class BundledStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # untyped
    """Replaces modules and style sheets by their bundles before names are hashed. Originals are not served.

    Where they can't be bundled, `collectstatic` fails with a `BundleError` that names the file.
    """

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Iterator[Any]:
        if not dry_run:
            self._bundle_scripts(paths)
            self._bundle_styles(paths)
        yield from super().post_process(paths, dry_run=dry_run, **options)

    def script_text(self, name: str) -> str:
        """The text of a collected script, without its source map's name."""
        found = self._texts.get(name)
        if found is None:
            with self.open(self.stored_name(name)) as file:
                found = self._texts[name] = file.read().decode().partition("//# sourceMappingURL=")[0].strip()
        return found

    @functools.cached_property
    def _texts(self) -> dict[str, str]:
        return {}

    def url(self, name: str, force: bool = False) -> str:
        """The address of a file. Hashed names stay while a process runs, and a page asks for some of them 200 times."""
        found = self._urls.get((name, force))
        if found is None:
            found = self._urls[name, force] = str(super().url(name, force))
        return found

    @functools.cached_property
    def _urls(self) -> dict[tuple[str, bool], str]:
        return {}

    def create_compressor(self, **kwargs: Any) -> Compressor:
        return _Compressor(**kwargs)

    @functools.cached_property
    def bundles(self) -> Mapping[str, Any]:
        """`pages`: what each page loads, by the name of its entry; `chunks`: where they are, by name."""
        with self.open(self.stored_name(CONTENTS)) as file:
            found: dict[str, Any] = json.loads(file.read())
        return found

    def _bundle_scripts(self, paths: dict[str, Any]) -> None:
        from config.bundling.scripts import bundle  # parsers, which only this needs

        modules = [name for name in paths if name.startswith(SCRIPTS) and name.endswith(".js")]
        modules += [name for name in VENDOR.values() if name in paths and module_name(name)]
        sources = {name: _read(paths[name]) for name in modules}
        made = bundle(sources, {name: module_name(name) for name in modules})
        for name in made.gone:
            self._remove(paths, name)
        for name, text in made.files.items():
            self._write(paths, name, text)
        self._write(paths, CONTENTS, json.dumps({"pages": made.pages, "chunks": made.chunks}))

    def _bundle_styles(self, paths: dict[str, Any]) -> None:
        from lightningcss import process_stylesheet

        texts = {name: _read(paths[name]).decode() for name in paths if name.startswith(STYLES)}
        for page, names in stylesheets().items():
            text = "\n".join(texts[name] for name in names)
            self._write(paths, bundled_sheet(page), process_stylesheet(text, filename=page))
        for name, text in texts.items():  # a page may still have a link to one
            self._write(paths, name, process_stylesheet(text, filename=name))

    def _remove(self, paths: dict[str, Any], name: str) -> None:
        del paths[name]
        self.delete(name)

    def _write(self, paths: dict[str, Any], name: str, text: str) -> None:
        self.delete(name)
        self.save(name, ContentFile(text.encode()))
        paths[name] = (self, name)


class _Compressor(Compressor):  # type: ignore[misc]  # untyped
    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        import brotli  # type: ignore[import-untyped]  # only where files are collected

        made: bytes = brotli.compress(data, quality=9 if len(data) > LARGE else 11)
        return made


def _read(place: tuple[Any, str]) -> bytes:
    storage, path = place
    with storage.open(path) as file:
        content: bytes = file.read()
    return content
