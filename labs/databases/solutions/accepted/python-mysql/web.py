"""HTTP for the Box Office: the app, its errors, and the kinds of values that a body may have."""

from datetime import datetime, timezone
from typing import Annotated

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

app = FastAPI(title="Box Office", openapi_url=None, redirect_slashes=False)


class Problem(Exception):
    """An answer that is an error: a status, a code from openapi.yaml and a sentence for people."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


def invalid(message):
    return Problem(422, "invalid", message)


# --- what a field of a body may be -----------------------------------------------------------------------------


def storable(text):
    """Half of a surrogate pair is no text. U+0000 MySQL could store, unlike PostgreSQL; the contract refuses it."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("text has no U+0000, and no half of a surrogate pair")
    return text


def moment(value):
    """A time of a body as a datetime in UTC."""
    if not isinstance(value, str):
        raise ValueError("a time is text")  # pydantic would take 7 for seven seconds after 1970
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError("no time zone")
        return time.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError("a time is like 2027-05-01T19:30:00Z") from None


def time_as_text(time):
    """How a datetime looks in an answer."""
    return time.isoformat().replace("+00:00", "Z")  # in `after=...` of a URL, a `+` would be read as a space


AnyText = Annotated[str, AfterValidator(storable)]
Text = Annotated[AnyText, Field(min_length=1, max_length=200)]  # counted in characters, as VARCHAR(200) counts them
Time = Annotated[datetime, BeforeValidator(moment)]


def whole_number(smallest, largest):
    """`strict`: neither "5", nor 5.0, nor true, which Python counts among the numbers."""
    return Annotated[int, Field(strict=True, ge=smallest, le=largest)]


Limit = Annotated[int, Field(ge=1, le=100)]


# --- errors ----------------------------------------------------------------------------------------------------


def error(status, code, message, headers=None):
    return JSONResponse({"code": code, "message": message}, status, headers)


@app.exception_handler(Problem)
def say_problem(request, problem):
    return error(problem.status, problem.code, str(problem))


@app.exception_handler(RequestValidationError)
def say_invalid(request, invalid):
    first = invalid.errors()[0]
    return error(422, "invalid", f"{first['loc'][-1]}: {first['msg']}")


@app.exception_handler(HTTPException)
def say_http(request, problem):
    if problem.status_code == 400:  # FastAPI says so of a body that is not even text
        return error(422, "invalid", "The body is not JSON.")
    if problem.status_code == 405:
        # Starlette names the methods of one function; a path may have several.
        matching = [route for route in app.routes if route.matches(request.scope)[0] != Match.NONE]
        allowed = ", ".join(sorted({method for route in matching for method in route.methods}))
        return error(405, "method_not_allowed", f"This page knows {allowed}.", {"Allow": allowed})
    code = "not_found" if problem.status_code == 404 else "refused"
    return error(problem.status_code, code, str(problem.detail), problem.headers)


@app.exception_handler(Exception)
def say_internal(request, mistake):
    return error(500, "internal", "The server made a mistake; its log says which.")
