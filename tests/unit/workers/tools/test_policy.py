"""Whether a call is allowed, asks or is off, for every combination of what decides about it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.runs.approval_facts import ApprovalFacts
from chat.runs.tool_rules import EVERY_SERVER, STRICTNESS, Policy, applying_policy, own_name, stricter
from workers.tools import policy
from workers.tools.policy import ApprovalRequest, judge, request_of

TOOL = ("mail", "send")
names = st.sampled_from(["send", "read"])
servers = st.sampled_from(["mail", "files", ""])
policies = st.builds(
    Policy,
    server=st.sampled_from(["mail", "files", "", EVERY_SERVER]),
    tool=st.sampled_from(["send", "read", ""]),
    rule=st.sampled_from(STRICTNESS),
    group=st.booleans(),
)
requests = st.builds(
    ApprovalRequest,
    name=names,
    server=servers,
    effect=st.sampled_from(["reads", "writes"]),
    approval=st.sampled_from(["never", "ask", "always"]),
    policies=st.lists(policies, max_size=6),
    remembered=st.booleans(),
    conversation=st.sampled_from(["", "ask", "always"]),
    tainted=st.booleans(),
    stopped=st.sampled_from(["", "Tools are switched off for now."]),
)
ORDER = {"allow": 0, "ask": 1, "off": 2}


def outcome(**fields: Any) -> str:
    given_fields = {"name": "send", "server": "mail", "effect": "writes", "approval": "ask", **fields}
    return judge(ApprovalRequest(**given_fields)).outcome


class TestRules:
    @pytest.mark.parametrize(
        ("approval", "remembered", "expected"),
        [
            ("never", False, "allow"), ("never", True, "allow"), ("ask", False, "ask"), ("ask", True, "allow"),
            ("always", False, "ask"), ("always", True, "ask"),
        ],
    )  # fmt: skip
    def test_the_default_of_a_tool(self, approval: str, remembered: bool, expected: str) -> None:
        assert outcome(approval=approval, remembered=remembered) == expected
        rule = Policy("mail", "send", approval)
        assert outcome(approval="always", policies=[rule], remembered=remembered) == expected, "so does a policy"

    def test_what_a_conversation_chose_only_asks_more_often(self) -> None:
        assert outcome(approval="never", conversation="ask") == "ask"
        assert outcome(approval="never", conversation="ask", remembered=True) == "allow"
        assert outcome(approval="never", conversation="always", remembered=True) == "ask"
        assert outcome(approval="always", conversation="ask", remembered=True) == "ask"

    def test_content_from_outside_makes_what_writes_ask_again(self) -> None:
        assert outcome(approval="never", tainted=True) == "ask"
        assert outcome(remembered=True, tainted=True) == "ask"
        assert outcome(policies=[Policy("mail", "", "never")], tainted=True) == "ask"
        assert outcome(policies=[Policy("mail", "send", "never")], tainted=True) == "allow"
        assert outcome(policies=[Policy("mail", "send", "ask")], remembered=True, tainted=True) == "ask"
        assert outcome(effect="reads", remembered=True, tainted=True) == "allow"
        assert judge(ApprovalRequest("send", "mail", "writes", "never", tainted=True)).why == policy.OUTSIDE

    def test_off_and_the_switch(self) -> None:
        assert outcome(policies=[Policy("mail", "send", "off")], approval="never") == "off"
        stopped = judge(ApprovalRequest("send", "mail", "writes", "never", stopped="Off for now."))
        assert (stopped.outcome, stopped.why) == ("off", "Off for now.")


class TestApplyingPolicy:
    def test_the_most_specific_applies(self) -> None:
        every, server = Policy(EVERY_SERVER, "", "always"), Policy("mail", "", "ask")
        group, tool = Policy("mail", "", "off", group=True), Policy("mail", "send", "never")
        known = [every, server, group, tool]
        found = [applying_policy(known[:number], *TOOL) for number in range(1, 5)]
        assert found == known

    def test_the_strictest_of_several_groups_applies(self) -> None:
        some = [Policy("mail", "send", rule, group=True) for rule in ("ask", "off", "never")]
        assert applying_policy([*some, Policy("mail", "send", "never")], *TOOL) == some[1]

    def test_our_own_tools_are_not_those_of_servers(self) -> None:
        assert applying_policy([Policy("", "", "never")], *TOOL) is None
        assert applying_policy([Policy("", "send", "never")], *TOOL) is None
        assert applying_policy([Policy("", "", "never")], "", "clock") is not None

    def test_names_that_two_servers_have(self) -> None:
        assert (own_name("mail__send", "mail"), own_name("mail__send", ""), own_name("send", "mail")) == (
            "send", "mail__send", "send",
        )  # fmt: skip
        assert (stricter("", "ask"), stricter("never", "always", "ask"), stricter()) == ("ask", "always", "never")


class TestProperties:
    @given(requests)
    def test_whoever_is_not_allowed_reads_why(self, request_: ApprovalRequest) -> None:
        verdict = judge(request_)
        assert (verdict.outcome == "allow") is (verdict.why == "")
        assert len(verdict.why) <= 200

    @given(requests)
    def test_the_order_of_policies_does_not_matter(self, request_: ApprovalRequest) -> None:
        turned = dataclasses.replace(request_, policies=list(reversed(request_.policies)))
        assert judge(turned) == judge(request_)

    @given(requests)
    def test_caution_never_allows_more(self, request_: ApprovalRequest) -> None:
        before = ORDER[judge(request_).outcome]
        for stricter_one in (
            dataclasses.replace(request_, tainted=True),
            dataclasses.replace(request_, conversation="always"),
            dataclasses.replace(request_, remembered=False),
            dataclasses.replace(request_, stopped="Off."),
        ):
            assert ORDER[judge(stricter_one).outcome] >= before

    @given(requests)
    def test_nothing_writes_by_itself_after_content_from_outside(self, request_: ApprovalRequest) -> None:
        tainted = dataclasses.replace(request_, tainted=True, effect="writes")
        if judge(tainted).outcome == "allow":
            applying = applying_policy(tainted.policies, tainted.server, tainted.name)
            assert applying is not None
            assert (applying.tool, applying.rule) == (tainted.name, "never")

    @given(requests)
    def test_each_time_means_each_time(self, request_: ApprovalRequest) -> None:
        applying = applying_policy(request_.policies, request_.server, request_.name)
        rule = applying.rule if applying else request_.approval
        if "always" in (rule, request_.conversation):
            assert judge(request_).outcome != "allow"

    @given(requests)
    def test_policies_for_other_tools_change_nothing(self, request_: ApprovalRequest) -> None:
        others = [Policy("elsewhere", "", "off"), Policy(request_.server, "another", "off")]
        assert judge(dataclasses.replace(request_, policies=[*request_.policies, *others])) == judge(request_)


def test_a_request_is_made_of_a_tool_and_what_is_known() -> None:
    @dataclasses.dataclass(frozen=True)
    class Tool:
        name: str = "mail__send"
        server: str = "mail"
        effect: Any = "writes"
        approval: Any = "ask"

    facts = ApprovalFacts([Policy("mail", "", "ask")], frozenset({("mail", "send")}))
    assert judge(request_of(Tool(), facts)).outcome == "allow"
    assert judge(request_of(Tool(), facts, tainted=True)).outcome == "ask"
    assert judge(request_of(Tool(), dataclasses.replace(facts, tainted=True))).outcome == "ask"
    assert judge(request_of(Tool(server=""), facts)).outcome == "ask", "our own tool of that name is another one"
