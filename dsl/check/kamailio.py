"""What somebody brings along from kamailio.cfg, and what does its work here.

Only help lines: whether a name exists is the table's to say.
"""

from __future__ import annotations

import re

from dsl import ast
from dsl.check.report import Report
from dsl.sources import Unit

_REPLY = "`reply(code, reason)` answers the request; `end(UserBusy)` gives an end reason"
_CANDIDATES = "`gateways($rU)` gives the candidates for `call`"
_NOTHING = "nothing takes its place: leave it away"
_BY_ITSELF = "Trunkline does that by itself: leave it away"
_INSIDE = "requests inside a dialog pass between the legs by themselves: leave it away"
_DOMAIN = '`$rd = "example.com";` sets the domain; the gateway is what `call` is given'
_NUMBER = '`$rU = "86" + strip($rU, 2);` changes the called number'

FUNCTIONS = {
    "sl_send_reply": _REPLY,
    "send_reply": _REPLY,
    "t_reply": _REPLY,
    "sl_reply": _REPLY,
    "sl_reply_error": _BY_ITSELF,
    "xlog": "`log(info, text)` writes a line to the log",
    "xdbg": "`log(debug, text)` writes a line to the log",
    "xerr": "`log(error, text)` writes a line to the log",
    "xnotice": "`log(info, text)` writes a line to the log",
    "xwarn": "`log(warning, text)` writes a line to the log",
    "t_relay": "`call(candidates)` sends the call on",
    "forward": "`call(candidates)` sends the call on",
    "t_on_branch": "`call(…, on_branch = NAME)` sets it",
    "t_on_reply": "`call(…, on_reply = NAME)` sets it",
    "t_on_failure": "`call(…, on_failure = NAME)` sets it",
    "t_check_status": "the status is `$rs`: `$rs in [486, 600]`",
    "t_is_canceled": "a failure_route does not run for a call that was cancelled: leave it away",
    "t_set_fr": "`ringing_timeout = 60s` and the other timers are settings",
    "t_check_trans": _BY_ITSELF,
    "t_newtran": _BY_ITSELF,
    "t_precheck_trans": _BY_ITSELF,
    "t_release": _BY_ITSELF,
    "append_hf": "`add_header(name, value)` adds a header",
    "insert_hf": "`add_header(name, value)` adds a header",
    "append_to_reply": "`add_header(name, value)` in a reply_route adds a header",
    "remove_hf": "`remove_header(name)` removes a header",
    "is_present_hf": 'an absent header is "": write `$hdr(Name) != ""`',
    "is_method": 'compare `$rm == "INVITE"`, or `$rm in ["INVITE", "UPDATE"]`',
    "method": 'compare `$rm == "INVITE"`',
    "ds_select_dst": _CANDIDATES,
    "ds_select_domain": _CANDIDATES,
    "ds_next_dst": "`next()` in a failure_route tries the next candidate",
    "ds_next_domain": "`next()` in a failure_route tries the next candidate",
    "ds_is_from_list": "`identify()` finds the trunk of the source",
    "ds_mark_dst": _BY_ITSELF,
    "load_gws": _CANDIDATES,
    "next_gw": "`next()` tries the next candidate",
    "do_routing": _CANDIDATES,
    "use_next_gw": "`next()` tries the next candidate",
    "cr_route": _CANDIDATES,
    "append_branch": "`call(list)` tries several candidates",
    "sht": "`cache_get(key)` reads what all workers share",
    "continue": "the loop goes on by itself after its last statement",
    "has_totag": _INSIDE,
    "loose_route": _INSIDE,
    "record_route": _INSIDE,
    "is_present_rr": _INSIDE,
    "force_rport": _BY_ITSELF,
    "add_rport": _BY_ITSELF,
    "nat_uac_test": _BY_ITSELF,
    "fix_nated_contact": _BY_ITSELF,
    "fix_nated_register": _BY_ITSELF,
    "set_contact_alias": _BY_ITSELF,
    "handle_ruri_alias": _BY_ITSELF,
    "mf_process_maxfwd_header": "`if ($max_forwards == 0) reply(483);` says it, if need be",
    "sanity_check": _BY_ITSELF,
    "allow_source_address": "`identify()` finds the trunk of the source",
    "allow_address": "`identify()` finds the trunk of the source, `$si in 192.0.2.0/24` compares",
    "allow_trusted": "`identify()` finds the trunk of the source",
    "is_in_subnet": "write `$si in 192.0.2.0/24`",
    "is_myself": "Trunkline only gets what is for it: leave it away",
    "www_authorize": "`authenticate()` looks at the credentials",
    "www_authenticate": "`authenticate()` looks at the credentials",
    "proxy_authorize": "`authenticate()` looks at the credentials",
    "proxy_authenticate": "`authenticate()` looks at the credentials",
    "auth_check": "`authenticate()` looks at the credentials",
    "pv_www_authenticate": "`authenticate()` looks at the credentials",
    "www_challenge": "`challenge();` asks for credentials",
    "proxy_challenge": "`challenge();` asks for credentials",
    "auth_challenge": "`challenge();` asks for credentials",
    "consume_credentials": _BY_ITSELF,
    "lookup": "`if (registered($rU)) call(phone($rU));` calls a registered phone",
    "prefix": _NUMBER,
    "strip_tail": "`$rU = strip($rU, -2);` takes away from the end",
    "rewriteuser": '`$rU = "86139";` sets the called number',
    "rewritehost": _DOMAIN,
    "rewritehostport": _DOMAIN,
    "rewriteuri": "`$rU` and `$rd` can be set; the gateway is what `call` is given",
    "subst": '`$rU = rewrite($rU, "0086:86");` changes a number',
    "subst_user": '`$rU = rewrite($rU, "0086:86");` changes a number',
    "subst_uri": '`$rU = rewrite($rU, "0086:86");` changes a number',
    "dp_translate": '`rewrite($rU, "0086:86")`, or `callee_out` of the gateway',
    "uac_replace_from": "`$fU` and `$fn` can be set",
    "setflag": "a variable of the call is `$call.name`; accounting needs no flag",
    "isflagset": "a variable of the call is `$call.name`; accounting needs no flag",
    "resetflag": "a variable of the call is `$call.name`; accounting needs no flag",
    "setbflag": "a variable of the call is `$call.name`; accounting needs no flag",
    "dlg_manage": _BY_ITSELF,
    "dlg_setflag": _BY_ITSELF,
    "set_dlg_profile": "`lines` of an account, trunk or gateway limits its calls",
    "get_profile_size": "`lines_used(…)` counts the calls of an account or a gateway",
    "pike_check_req": "`if (!rate_limit($si, 10, 1s)) drop;` says it",
    "rl_check": "`if (!rate_limit($si, 10, 1s)) drop;` says it",
    "tmrec_match": '`in_time("Mo-Fr 08:00-18:00", "Asia/Shanghai")` says it',
    "rtpengine_manage": "`media = relay` of a gateway does it",
    "rtpengine_offer": "`media = relay` of a gateway does it",
    "rtpproxy_manage": "`media = relay` of a gateway does it",
    "update_stat": '`count("name")` counts',
    "acc_log_request": "every call writes a CDR: leave it away",
    "acc_db_request": "every call writes a CDR: leave it away",
    "is_avp_set": 'compare `$call.name != ""`',
    "avp_printf": "`$call.name = …;` sets a variable of the call",
    "search_hf": "`$hdr(Name) =~ /…/` looks into a header",
    "remove_body": _NOTHING,
    "msg_apply_changes": _NOTHING,
    "pv_printf": "`let name = …;` or `$call.name = …;`",
    "return": "`return expr;` leaves a route[…]",
    "defined": 'no value is missing: an absent header is ""',
}
FACTS = {
    "var": "a local is declared with `let name = value;`",
    "avp": "a variable of the call is `$call.name`",
    "xavp": "a variable of the call is `$call.name`",
    "dlg_var": "a variable of the call is `$call.name`",
    "shv": "what all workers share: `cache_get(key)`, `cache_set(key, value, ttl)`",
    "sht": "what all workers share: `cache_get(key)`, `cache_set(key, value, ttl)`",
    "T_reply_code": "the status of the response is `$rs`",
    "T_fr_timer": "`ringing_timeout = 60s` and the other timers are settings",
    "oU": "the called number is `$rU`",
    "ou": "the request URI is `$ru`",
    "au": "the account of the call is `$account.id`",
    "aU": "the account of the call is `$account.id`",
    "hdrc": 'an absent header is "": write `$hdr(Name) == ""`',
    "null": 'no value is missing: an absent header is "", compare with that',
    "du": "where a call goes is the address of the gateway that `call` is given",
    "dU": "where a call goes is the address of the gateway that `call` is given",
    "dd": "where a call goes is the address of the gateway that `call` is given",
    "dp": "where a call goes is the address of the gateway that `call` is given",
    "nh": "where a call goes is the address of the gateway that `call` is given",
    "rp": "the port of the request URI is of no account: the gateway has an address",
    "retcode": "a route gives a value with `return`: `if (route(X))`, `let y = route(X);`",
    "rc": "a route gives a value with `return`: `if (route(X))`, `let y = route(X);`",
    "Tf": "the log and the CDR have the time: leave it away",
    "Ts": "the log and the CDR have the time: leave it away",
    "def": '`env("NAME")` in a setting reads the environment',
    "env": '`env("NAME")` in a setting reads the environment',
    "ai": "the header is `$hdr(P-Asserted-Identity)`",
    "di": "the header is `$hdr(Diversion)`",
    "re": "the header is `$hdr(Remote-Party-ID)`",
}
NAMES = {
    "src_ip": "the source address is `$si`",
    "src_port": "the source port is `$sp`",
    "dst_ip": "our address is `$Ri`",
    "dst_port": "our port is `$Rp`",
    "proto": 'the transport is `$pr`: "udp", "tcp" or "tls"',
    "status": "the status of the response is `$rs`",
    "myself": "Trunkline only gets what is for it: leave it away",
    "retcode": "a route gives a value with `return`: `if (route(X))`",
    "af": "an address says by itself of which kind it is: `$si in [::]/0`",
    "INET6": "an address says by itself of which kind it is: `$si in [::]/0`",
    "UDP": 'write `$pr == "udp"`',
    "TCP": 'write `$pr == "tcp"`',
    "TLS": 'write `$pr == "tls"`',
}
SETTINGS = {
    "children": "the number of processes is `workers`",
    "tcp_children": "the number of processes is `workers`",
    "async_workers": "the number of processes is `workers`",
    "alias": "Trunkline answers whatever is sent to its addresses: leave it away",
    "port": "the port stands behind the address: `listen = udp:192.0.2.1:5060`",
    **dict.fromkeys(
        (
            *("debug", "log_stderror", "log_facility", "log_name", "log_prefix", "fork"),
            *("auto_aliases", "mhomed", "mpath", "server_header", "user_agent_header", "dns"),
            *("rev_dns", "memdbg", "memlog", "pv_buffer_size", "tcp_connection_lifetime"),
            *("enable_tls", "disable_tcp", "server_signature", "sip_warning", "shm_mem_size"),
            *("kemi", "flags", "max_while_loops", "corelog", "latency_log", "dns_cache_init"),
        ),
        _NOTHING,
    ),
}

_DIRECTIVE = re.compile(
    r"^[ \t]*(?:#!|!!)(define|ifdef|ifndef|ifexp|else|endif|trydef|redefine|subst|substdefs?)\b",
    re.MULTILINE,
)


def check_directives(unit: Unit, report: Report) -> None:
    """Warn of lines for Kamailio's preprocessor: here they are comments. One warning a file."""
    for file, text in unit.texts.items():
        found = _DIRECTIVE.search(text)
        if found is None:
            continue
        line = text.count("\n", 0, found.start(1)) + 1
        column = found.start(1) - (text.rfind("\n", 0, found.start(1)) + 1) - 1
        word = found.group(1)
        what = "nothing is left out by it" if "if" in word or word == "else" else "it does nothing"
        report.warn(
            "no-preprocessor",
            ast.Span(file, line, column, line, column + 2 + len(word)),
            f"`#!{word}` is a comment here: {what}",
            'a setting may be `env("NAME")`; parts of the file can be files that are included',
        )
