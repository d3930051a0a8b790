"""Say what is doubtful in revision files before they run: rules, waivers, no I/O.

``subject`` is what a rule looks at, ``known`` what the revisions before it tell of the
tables, ``types`` what a change of type does, ``waivers`` the comments that allow a
finding, ``rules`` a file for each rule, ``formats`` what a report looks like. May import
``sql``, ``errors``, ``model`` and ``findings``.
"""

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.model.findings import Severity

__all__ = ["Rule", "Said", "Severity", "Spot", "Subject"]
