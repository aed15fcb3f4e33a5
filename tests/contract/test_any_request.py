"""Whatever is sent to any documented operation, right or wrong, gets a documented answer and never a server error."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.documents import documents
from tests.support.stack import Stack

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 8


schema = schemathesis.openapi.from_dict(documents()["openapi.json"])


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_any_request_gets_a_documented_answer(case: Case[Any], stack: Stack) -> None:
    own = (
        {} if "x-workspace" in (case.headers or {}) else {"X-Workspace": "any-request"}
    )  # nobody else's work is started or seen
    case.call_and_validate(base_url=stack.gateway_url, checks=CHECKS, headers=own, timeout=150)
