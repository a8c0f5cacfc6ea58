import json

import pytest

from benchmarks.peers import PEERS
from benchmarks.subjects import FLOORS, MODES, SECTIONS, Question

QUESTIONS = {
    **{name: mode.question for name, mode in MODES.items()},
    **{name: question for name, (_, question) in FLOORS.items()},
    **{name: peer.question for name, peer in PEERS.items()},
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_body_is_json_and_has_a_place_for_the_key_where_copies_need_one(question: Question) -> None:
    body = question.body
    assert {"model", "messages", "max_tokens"} <= json.loads(body).keys()
    assert bool(question.copies) == ("@KEY@" in body)


def test_all_gateways_get_the_same_request_but_for_the_model_and_what_a_cache_needs() -> None:
    assert MODES["pass-through"].question == FLOORS["floor-proxy"][1] == PEERS["vllm-router"].question
    assert MODES["hit"].question == FLOORS["floor-cache"][1] == PEERS["rolter-cache"].question


def test_every_subject_stands_in_one_section() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted([*MODES, *FLOORS, *PEERS]) == sorted(listed)
