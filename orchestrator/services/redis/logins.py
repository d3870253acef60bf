"""A login that Redis refused: mostly a client that drops the user name of its URL, as old ones do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NO_LOGIN = re.compile(r"\bNOAUTH\b")
REFUSED = re.compile(r"\bWRONGPASS\b")
WHOLE = ("Give your client all of REDIS_URL (redis://USER:PASSWORD@HOST:PORT/0), or the user name and the password; an "
         "old client that knows no user names must be updated.")


def advice(said: str, refused: Sequence[Mapping[str, object]]) -> str | None:
    """What to do, from the server's output and from Redis' own list of what it ``refused`` (``ACL LOG``).

    Without a user name clients log in as ``default``, who is off here.
    """
    names = [str(one.get("username")) for one in refused if one.get("reason") == "auth"]
    if "default" in names:
        return f"Redis refused your server's login, which had no user name. {WHOLE}"
    if names or REFUSED.search(said):
        return f"Redis refused your server's login{f' as {names[0]}' if names else ''}. {WHOLE}"
    if NO_LOGIN.search(said):
        return f"Your server asked Redis something before it logged in. {WHOLE}"
    return None
