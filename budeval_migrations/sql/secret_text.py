"""What tells a secret in any text, also inside a literal: names, and forms such as URLs."""

from __future__ import annotations

import re

SENSITIVE = (
    r"(?:passw(?:or)?d(?!_type)|passphrase|secret|token(?!s(?![a-z])|i[sz]|bf)|credential"
    r"|(?:access|account|private|api)[_-]?key|auth_?header|authorization|key_hex"
    r"|(?<![a-z])(?:pwd?|pass)(?![a-z]))"
)
# Plain text, also inside literals: what it must hold to be worth a look (in lower
# case), and the pattern, of which group ``v`` is hidden.
PATTERNS = tuple(
    (needles, re.compile(pattern))
    for needles, pattern in (
        (
            ("://",),
            r"(?i)(?<![a-z0-9+.\-])[a-z][a-z0-9+.\-]{0,40}://[^\s:/?#@'\"]*:"
            r"(?!\d+[/?#])(?P<v>(?:(?!://)[^@\s'\"])*(?:@[^@\s'\"/?#,]*)*)@",
        ),
        (
            ("=",),
            rf"(?i)[?&;](?:[\w.\-]{{0,60}}{SENSITIVE}[\w.\-]{{0,60}}|[\w\-]{{0,60}}signature|sig"
            r"|pwd|key|awsaccesskeyid|googleaccessid)=(?P<v>[^&\s'\"\\;]+)",
        ),
        (
            ("account", "sharedaccess"),
            r"(?i)\b(?:account|sharedaccess)(?:key|signature)\s*=\s*(?P<v>[^;\s'\"\\]+)",
        ),
        (
            ("pwd", "password", "passwd"),
            r"(?i)(?<=[;'\"?&])\s*(?:pwd|password|passwd)\s*=\s*(?P<v>[^;\s'\"\\&]+)",
        ),
        (
            ("pwd=", "password=", "passwd="),
            r"(?i)\w=[^\s'\"=]+\s+(?:pwd|password|passwd)=(?P<v>[^;\s'\"\\]+)",
        ),
        (("credential=",), r"(?i)\bCredential=(?P<v>[^\s,'\"\\&]+)"),
        (("signature=",), r"(?i)\bSignature=(?P<v>[^\s,'\"\\&]{8,})"),
        (
            ("authorization",),
            r"(?i)\bAuthorization['\"]?\s*[:=]\s*['\"]?(?:(?:Bearer|Basic|Token)\s+)?"
            r"(?P<v>(?!(?:Bearer|Basic|Token)\s)[^\s'\",;)\\]+)",
        ),
        (
            ("bearer", "basic"),
            r"(?i)\b(?:Bearer|Basic)\s+(?P<v>(?=\S{0,500}(?:[\d=]|[._]\w))[\w.~+/=\-]{6,})",
        ),
        (
            ("private key",),
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?P<v>[^'\"]*?)(?=-----END|['\"]|\Z)",
        ),
    )
)
