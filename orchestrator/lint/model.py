"""One problem of a lab."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """``file:line  rule  what is wrong -> how it is mended``. ``file`` is relative to the lab; line 0: all of it."""

    file: str
    line: int
    rule: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}  {self.rule}  {self.message}" + (f"  -> {self.fix}" if self.fix else "")
