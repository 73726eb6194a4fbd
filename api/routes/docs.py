"""The Swagger page: its addresses are relative, so that it works under any path; with a key it gets a button for it."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse

from api.auth.opening import Auth
from api.http.gate import ALIVE_PATH, refusals
from api.http.problems import problems
from api.settings import Settings

PAGE = "/docs"
PARTS = "/swagger"
STYLE = """
.responses-table tr:is([data-code^="4"], [data-code^="5"]) .response-col_description
  > :not(.response-col_description__inner) { display: none; }
.swagger-ui .opblock .parameter__empty_value_toggle { display: none; }
"""
"""A refusal is a line of the page: all have one schema, which stands once among the schemas. And nobody is asked
whether to send an empty field: it is as left out.
"""
LOOKS = {"defaultModelsExpandDepth": 0, "displayRequestDuration": True}
SERVERS = [{"url": ".", "description": "the service that this description comes from"}]

KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key, or the value of LLM_FASTAPI_API_KEY.",
}


def add_swagger_page(app: FastAPI) -> None:
    """Serve the page at `/docs`; its parts are there already."""

    @app.get(PAGE, include_in_schema=False)
    async def swagger_page(request: Request) -> HTMLResponse:
        up = "../" if request.scope["raw_path"].endswith(b"/") else ""
        html = get_swagger_ui_html(
            title=app.title,
            openapi_url=f"{up}{(app.openapi_url or '').removeprefix('/')}",
            swagger_js_url=f"{up}{PARTS.removeprefix('/')}/swagger-ui-bundle.js",
            swagger_css_url=f"{up}{PARTS.removeprefix('/')}/swagger-ui.css",
            swagger_favicon_url=f"{up}{PARTS.removeprefix('/')}/favicon.png",
            swagger_ui_parameters=LOOKS,
        )
        styled = bytes(html.body).replace(b"</head>", f"<style>{STYLE}</style></head>".encode())
        return HTMLResponse(styled)


def describe_gate(app: FastAPI, settings: Settings, auth: Auth) -> None:
    """Say in OpenAPI how the gate refuses, and that calls need a key, as soon as there is one: from that the page has
    its button.
    """
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        needs_key = bool(settings.api_key) or not auth.keyring.is_empty
        statuses = refusals(settings, needs_key=needs_key)
        refused = {str(status): said for status, said in problems(*statuses).items()}
        schema = describe()
        for path, operations in schema["paths"].items():
            for operation in operations.values() if path != ALIVE_PATH else ():
                operation["responses"] = dict(sorted((refused | operation["responses"]).items()))
        if needs_key:
            schema["components"]["securitySchemes"] = {"key": KEY}
            schema["security"] = [{"key": []}]
            schema["paths"][ALIVE_PATH]["get"]["security"] = []
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
