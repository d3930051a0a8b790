"""``python -m budeval_migrations`` is ``budeval-migrate``."""

from budeval_migrations.cli.main import main

if __name__ == "__main__":
    main()
