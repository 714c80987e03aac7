from __future__ import annotations

from typing import Any, Final

import pytest

from pi_agent.state import logins

_PLAIN: Final = {"type": "api_key", "key": "key"}
_OAUTH: Final = {"type": "oauth", "access": "a", "refresh": "r", "expires": 1}


@pytest.mark.parametrize(
    "login",
    [
        _PLAIN,
        _OAUTH,
        {**_PLAIN, "key": "a$$b$!c$1"},
        {**_PLAIN, "key": "$"},
        {"type": "api_key", "env": {"AWS_PROFILE": "work"}},
        {**_PLAIN, "env": {"CLOUDFLARE_ACCOUNT_ID": "0a", "CLOUDFLARE_GATEWAY_ID": "gate-way_1"}},
        {
            "type": "api_key",
            "env": {
                "GOOGLE_CLOUD_PROJECT": "example.com:p",
                "GOOGLE_CLOUD_LOCATION": "europe-west1",
                "GOOGLE_APPLICATION_CREDENTIALS": "/x/y.json",
            },
        },
        {**_OAUTH, "enterpriseUrl": "github.example.com"},
    ],
)
def test_a_login_as_pi_writes_it_lasts(login: Any) -> None:
    assert logins.lasts(login, None)


@pytest.mark.parametrize(
    "login",
    [
        {**_PLAIN, "key": "!x"},
        {**_PLAIN, "key": "$NAME"},
        {**_PLAIN, "key": "x${NAME}"},
        {**_PLAIN, "key": "$$$_NAME"},
        {**_PLAIN, "env": {"https_proxy": "http://x"}},
        {**_PLAIN, "env": {"AZURE_OPENAI_BASE_URL": "http://x"}},
        {**_PLAIN, "env": {"GOOGLE_CLOUD_LOCATION": "x/"}},
        {**_PLAIN, "env": {"GOOGLE_CLOUD_LOCATION": ["x"]}},
        {**_PLAIN, "env": ["x"]},
        {**_OAUTH, "gatewayConfig": {"baseUrl": "http://x"}},
        {**_OAUTH, "env": {"NAME": "x"}},
    ],
)
def test_a_login_that_runs_or_redirects_something_lasts_only_as_the_host_has_it(login: Any) -> None:
    assert not logins.lasts(login, None)
    assert not logins.lasts(login, {**login, "key": "other", "env": {}, "gatewayConfig": {}})
    if not str(login.get("key")).startswith("!"):
        assert logins.lasts({**login, "renewed": True}, login)


def test_the_host_s_login_is_not_sent_to_another_company() -> None:
    moved = {**_OAUTH, "enterpriseUrl": "evil"}
    assert not logins.lasts(moved, _OAUTH)
    assert not logins.lasts(moved, {**_OAUTH, "enterpriseUrl": "of the host"})
    assert logins.lasts({**moved, "access": "renewed"}, moved)


def test_the_addresses_of_a_server_s_login_are_the_host_s() -> None:
    planted = {"tokens": {"access_token": "new"}, "discovery": {"authorizationServerUrl": "http://evil/"}}
    assert logins.with_discovery_of_host(planted, None) == {"tokens": {"access_token": "new"}}
    host = {"tokens": {}, "discovery": {"authorizationServerUrl": "https://s/"}}
    assert logins.with_discovery_of_host(planted, host) == {**planted, "discovery": host["discovery"]}
    assert logins.with_discovery_of_host("x", host) == "x"
