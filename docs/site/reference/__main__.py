"""Write the pages, and take away those that nothing makes any more."""

from __future__ import annotations

from docs.site.reference.pages import FOLDER, pages

made = pages()
FOLDER.mkdir(exist_ok=True)
for old in FOLDER.iterdir():
    if old.name not in made:
        old.unlink()
for name, text in made.items():
    (FOLDER / name).write_text(text, encoding="utf-8")
