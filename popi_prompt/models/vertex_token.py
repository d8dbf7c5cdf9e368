"""Access to Google Cloud, as LiteLLM finds it for its Vertex AI routes."""

from __future__ import annotations

import os

from popi_prompt.errors import AuthenticationError, MissingDependency
from popi_prompt.models.litellm_errors import import_litellm
from popi_prompt.models.redaction import redact


def vertex_token(project: str | None) -> tuple[str, str]:
    """A bearer token and the project it is for.

    Raises `AuthenticationError` where no credentials are found, and `MissingDependency` without
    Google's library for them.
    """
    import_litellm()
    from litellm.llms.vertex_ai.vertex_llm_base import VertexBase

    credentials = os.environ.get("VERTEXAI_CREDENTIALS")
    try:
        token, found = VertexBase().ensure_access_token(credentials, project, "vertex_ai")
    except ImportError:
        raise MissingDependency("vertex needs google-auth; run: pip install google-auth") from None
    except Exception as error:  # whatever google-auth or LiteLLM's reading of the file raises
        if "Google Cloud SDK not found" in str(error):
            raise MissingDependency(
                "vertex needs google-auth; run: pip install google-auth"
            ) from None
        reason = (redact(str(error)).splitlines() or [type(error).__name__])[0]
        raise AuthenticationError(
            f"vertex: no credentials; export GOOGLE_APPLICATION_CREDENTIALS first ({reason})"
        ) from None
    return token, found
