"""The Box Office on MySQL, with FastAPI and SQLAlchemy. Each file holds one subject; importing it adds its routes."""

import os
import sys

import uvicorn
from fastapi import Response
from sqlalchemy.exc import DBAPIError

import catalogue  # noqa: F401
import database
import orders  # noqa: F401
from web import app


@app.get("/health")
def health(response: Response):
    up = database.is_up()
    response.status_code = 200 if up else 503
    return {"mysql": "up" if up else "down"}


if __name__ == "__main__":
    try:
        database.create_tables()
    except DBAPIError as error:
        sys.exit(f"The tables could not be made: {error.orig}")
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), log_level="warning")
