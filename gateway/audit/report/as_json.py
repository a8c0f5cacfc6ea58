"""The report as JSON."""

import json
from dataclasses import asdict
from typing import Any

from gateway.audit.find.advice import Advice, cautions, check_passes
from gateway.audit.find.findings import Findings


def as_json(findings: Findings, advice: Advice, fail_under: float | None) -> str:
    """Everything that was found; the answers themselves are in the journal."""
    told: dict[str, Any] = asdict(findings)
    told["head"]["spec"]["prompts"] = len(findings.head.spec.prompts)
    told["complete"] = findings.is_complete
    told["advice"] = asdict(advice)
    told["notes"] = cautions(findings)
    told["check"] = {
        "fail_under": fail_under,
        "passes": None if fail_under is None else check_passes(findings.headline, fail_under),
    }
    return json.dumps(told, indent=1) + "\n"
