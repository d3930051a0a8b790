"""The pages in ``docs/reference``, made from the code: ``python -m docs.site.reference``."""
