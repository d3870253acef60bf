"""How the words of Galera's nodes are read: which statements are the same, and where a password stands in them."""

from __future__ import annotations

from orchestrator.services.mysql_kin.words import shape
from orchestrator.services.parts import Sight

SIGHT = Sight(
    entry="statement",
    entries="statements",
    shape=shape,
    secrets=(
        # MariaDB's words for a password that is given, and what it keeps of one.
        r"(?i)\bIDENTIFIED\s{1,9}(?:VIA\s{1,9}\S{1,64}\s{1,9}(?:USING|AS)|BY(?:\s{1,9}PASSWORD)?)\s{1,9}"
        r"(?:PASSWORD\s{0,9}\(\s{0,9})?(?P<q>['\"])(?P<secret>[^'\"\n]{1,200})(?P=q)",
        r"\bmariadb(?:-dump|-admin)?\s(?:[^\n]{0,200}\s)?-p(?P<secret>[^\s-]\S{0,200})",
    ),
)
