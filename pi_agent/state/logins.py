"""Which logins that Pi wrote inside last: those that neither run anything nor send a secret elsewhere. Pure functions.

A login is one entry of auth.json or mcp-auth.json. `of_host` is what the host's file has in its place, or None. What
the host's file says may be there inside as well.
"""

from __future__ import annotations

from pi_agent.state import json_merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_COMMAND: Final = "!"
# What Pi's own logins ask for, and write. All other variables of a login are ignored by Pi, or are proxies, addresses
# and names of files.
_ACCOUNTS: Final = frozenset(
    {"AWS_PROFILE", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_GATEWAY_ID", "GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_PROJECT"}
)
_CREDENTIALS_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
# Pi makes addresses of account names. These would end the name, or begin another part of the address.
_ENDS_A_NAME: Final = frozenset("/\\?#@")
# Addresses: of a gateway and its models, and of a company's own GitHub, which is asked for new tokens.
_GATEWAY: Final = "gatewayConfig"
_COMPANY: Final = "enterpriseUrl"
_DISCOVERY: Final = "discovery"


def lasts(login: object, of_host: object) -> bool:
    """Whether a login, or its removal, may last."""
    if not has_no_command(login):
        return False
    if not isinstance(login, dict):
        return True
    known = of_host if isinstance(of_host, dict) else {}
    news = {name: part for name, part in login.items() if name not in known or not json_merge.same(part, known[name])}
    if _GATEWAY in news or (_COMPANY in news and known):
        return False
    return not _names_a_variable(news.get("key")) and _is_harmless(news.get("env", {}))


def has_no_command(login: object) -> bool:
    """Whether no string in it is a command: Pi runs what follows a `!`."""
    waiting: list[Any] = [login]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and each.startswith(_COMMAND):
            return False
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return True


def _names_a_variable(key: object) -> bool:
    """Whether Pi puts environment variables into a key: `$NAME`, `${NAME}`. `$$` and `$!` stand for themselves."""
    if not isinstance(key, str):
        return False
    after = key.replace("$$", "").replace("$!", "").split("$")[1:]
    return any(text[:1] in ("{", "_") or text[:1].isalpha() for text in after)


def _is_harmless(variables: object) -> bool:
    """Whether the variables that come with a login only name accounts."""
    if not isinstance(variables, dict):
        return False
    return all(
        isinstance(value, str)
        and (name == _CREDENTIALS_FILE or (name in _ACCOUNTS and not _ENDS_A_NAME.intersection(value)))
        for name, value in variables.items()
    )


def with_discovery_of_host(login: object, of_host: object) -> object:
    """The login of an MCP server, with the addresses that the host's Pi has found out, or none.

    The server's refresh token is sent to these. Without them, Pi asks the server again.
    """
    if not isinstance(login, dict):
        return login
    result = {name: part for name, part in login.items() if name != _DISCOVERY}
    if isinstance(of_host, dict) and _DISCOVERY in of_host:
        result[_DISCOVERY] = of_host[_DISCOVERY]
    return result
