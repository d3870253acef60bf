"""How MySQL's own words are read: which statements are the same, and where a password stands in them."""

from __future__ import annotations

from orchestrator.services.mysql_kin.words import shape
from orchestrator.services.parts import Sight

SIGHT = Sight(
    entry="statement",
    entries="statements",
    legend="history: MySQL's own history of statements.",
    shape=shape,
    secrets=(
        r"(?i)\bIDENTIFIED\s{1,9}(?:WITH\s{1,9}\S{1,64}\s{1,9})?(?:BY|AS)\s{1,9}(?P<q>['\"])(?P<secret>[^'\"\n]{1,200})(?P=q)",
        r"(?i)\bSET\s{1,9}PASSWORD\b[^'\"=\n]{0,80}(?:'[^'\n]{0,60}'@'[^'\n]{0,60}'\s{0,9})?(?:=|\bTO\b)\s{0,9}"
        r"(?P<q>['\"])(?P<secret>[^'\"\n]{1,200})(?P=q)",
        # What MySQL keeps of a password, and its client's option.
        r"\$A\$(?P<secret>\d{3}\$[^\s'\"]{20,200})",
        r"\bmysql(?:dump|admin|sh)?\s(?:[^\n]{0,200}\s)?-p(?P<secret>[^\s-]\S{0,200})",
    ),
    secret_names=("mysql_pwd", "pwd"),
)
