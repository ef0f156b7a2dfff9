"""What an operator does about each end reason: the quick reference behind `cdr show` and `explain`.

Each reason falls into a drawer, has one thing to look at first, something to do, and a command
that shows the cause. Commands name what a call's own facts fill in: {id}, {callee}, {caller},
{source}, {account}, {trunk}, {gateway}, {phone}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from router.core.end_reasons import EndReason

DRAWERS: Final = (
    "ordinary", "routing", "account", "network", "capacity", "media", "gateway", "server",
)

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "id": "ID", "callee": "NUMBER", "caller": "NUMBER", "source": "IP", "account": "ACCOUNT",
    "trunk": "TRUNK", "gateway": "GATEWAY", "phone": "PHONE",
}
"""What stands in a command where no call fills it in."""


class Guide(NamedTuple):
    """The rest of what is known about an end reason; `command` is a template, see above."""

    drawer: str
    chinese: str
    look: str
    do: str
    command: str

    def general_command(self) -> str:
        """The command for no call in particular."""
        return self.command.format_map(PLACEHOLDERS)


_ROUTE = "trunkline route --source {source} --caller {caller} --callee {callee}"
_SHOW = "trunkline cdr show {id}"

GUIDE: Final[Mapping[EndReason, Guide]] = {
    EndReason.Normal: Guide(
        "ordinary", "通话已接听并正常挂断。",
        "nothing: this is how a call should end", "nothing", _SHOW,
    ),
    EndReason.Cancelled: Guide(
        "ordinary", "主叫在接听前挂断。",
        "how long it rang: callers give up early when it takes long to ring (PDD)",
        "where many give up before ringing, put a faster gateway first",
        "trunkline cdr stats --by gateway,reason --gateway {gateway} --since 1h",
    ),
    EndReason.UserBusy: Guide(
        "ordinary", "被叫用户正忙。",
        "whether one gateway says busy far more often than the others",
        "nothing for one call; a gateway that says it for every call is out of lines",
        "trunkline cdr stats --by gateway,reason --gateway {gateway} --since 1h",
    ),
    EndReason.NoAvailableRouter: Guide(
        "routing", "前缀有匹配的网关，但全部不可用：停用、满线、锁定或拒绝了呼叫。",
        "the matching gateways: are they there, up, with lines free, within rate and margin?",
        "bring a gateway up, add one, or raise its lines",
        "trunkline gateways list --prefix {callee}",
    ),
    EndReason.NotFound: Guide(
        "routing", "没有网关的前缀与号码匹配，或网关不认识该号码。",
        "the gateways' prefixes against the number as it stands after rewriting",
        "correct the prefix or the rewrite rule",
        _ROUTE,
    ),
    EndReason.CalledNotOnline: Guide(
        "routing", "被叫话机未注册，且没有网关服务该号码。",
        "whether the called phone is registered, or a gateway serves the number",
        "register the phone, or add a gateway for the number",
        "trunkline phones list",
    ),
    EndReason.RateNotFound: Guide(
        "routing", "账户的费率表中没有该号码的费率。",
        "the account's deck for the number's prefix, and the dates of its rates",
        "add the rate",
        "trunkline rates find {callee}",
    ),
    EndReason.ForwardingLoop: Guide(
        "routing", "呼叫前转回到了已经离开的号码。",
        "the forwarding of the phones on the way, or two switches that send the call in a circle",
        "break the circle",
        _SHOW,
    ),
    EndReason.ScriptRejected: Guide(
        "routing", "routes.cfg 中的路由自行应答了呼叫。",
        "the `reply` in routes.cfg that gave this code",
        "change the route if it was not meant",
        _ROUTE,
    ),
    EndReason.AccountLocked: Guide(
        "account", "账户或其上级代理已被锁定。",
        "the status of the account, then of the agents above it",
        "unlock it",
        "trunkline accounts show {account}",
    ),
    EndReason.AccountExpired: Guide(
        "account", "账户有效期已过。",
        "the date until which the account, and the agents above it, are valid",
        "extend it",
        "trunkline accounts show {account}",
    ),
    EndReason.InsufficientBalance: Guide(
        "account", "账户余额不足以支付通话。",
        "the balance, the overdraft, and what running calls have reserved",
        "top up or raise the overdraft",
        "trunkline ledger show {account}",
    ),
    EndReason.CallNotPermitted: Guide(
        "account", "该账户不允许此类呼叫。",
        "the kind of the number's rate (net, local, national, international) and `permit`",
        "permit this kind of call for the account",
        "trunkline rates find {callee}",
    ),
    EndReason.AuthFailed: Guide(
        "account", "认证信息错误。",
        "user name, password and realm on the phone or peer",
        "correct the credentials",
        "trunkline blocks list",
    ),
    EndReason.IpBlocked: Guide(
        "account", "源地址不被允许，或因滥用被封。",
        "the source address: the networks that may be used from there, and whether it is blocked",
        "add the network or lift the block",
        "trunkline blocks list",
    ),
    EndReason.IllegalCall: Guide(
        "account", "源地址不属于任何中继，也没有话机通过认证。",
        "the source address against the networks of the trunks",
        "add the network to the customer's trunk, or leave strangers out",
        "trunkline route --source {source} --callee {callee}",
    ),
    EndReason.CallerNumberRestricted: Guide(
        "account", "主叫号码因长度、前缀或名单被拒绝。",
        "the caller's number against `number_length`, `caller_allow` and `caller_deny`",
        "correct the number at the customer's side, or the list",
        _ROUTE,
    ),
    EndReason.CalledNumberRestricted: Guide(
        "account", "被叫号码因长度、前缀或名单被拒绝。",
        "the dialled number against `number_length`, `callee_allow` and `callee_deny`",
        "correct the list, or leave it: the number may not be dialled",
        _ROUTE,
    ),
    EndReason.Unregistered: Guide(
        "network", "话机未注册，不能呼叫。",
        "the phone's registration: its expiry and its credentials; `must_register` asks for one",
        "let the phone register again, correct its credentials",
        "trunkline phones show {phone}",
    ),
    EndReason.ConnectionTimeout: Guide(
        "network", "所有重发之后网关没有任何 SIP 响应。",
        "whether the gateway can be reached: address, port, firewall, its answers to OPTIONS",
        "correct the address, or ask the carrier; tune `invite_timeout` if it is only slow",
        "trunkline gateways show {gateway}",
    ),
    EndReason.ResponseTimeout: Guide(
        "network", "已振铃，但未在时限内接听。",
        "whether it rang, and for how long: `ringing_timeout` of gateway and system",
        "raise the timer if people need longer, try the number by hand",
        _SHOW,
    ),
    EndReason.ProceedingTimeout: Guide(
        "network", "网关接受了呼叫，但一直没有振铃。",
        "a gateway that says 100 and then nothing: its load and its own routes",
        "ask the carrier, tune `trying_timeout`, or give the gateway a lower priority",
        "trunkline cdr stats --by gateway,reason --gateway {gateway} --since 1h",
    ),
    EndReason.SessionTimeout: Guide(
        "network", "会话未刷新，或达到最长通话时间。",
        "how long it lasted: `max_duration`, or the session timers and NAT of both sides",
        "align the timers, or raise `max_duration`",
        _SHOW,
    ),
    EndReason.ConnectionLimitExceeded: Guide(
        "capacity", "账户、中继或服务器的线路已全部占用（对象见呼叫记录）。",
        "lines and calls per second of what the decision names",
        "raise the limit or spread the load",
        "trunkline status",
    ),
    EndReason.Overloaded: Guide(
        "capacity", "服务器过载，拒绝了新呼叫。",
        "calls per second and the load of the workers; a router that is being stopped says so too",
        "spread the load, or add cores and workers",
        "trunkline status",
    ),
    EndReason.CodecMismatch: Guide(
        "media", "双方没有共同的编解码。",
        "the codecs that the caller offers and the gateway takes",
        "allow a codec that both have, or `media = transcode` for that gateway; SDP that a media "
        "relay cannot read is the caller's to mend",
        _SHOW,
    ),
    EndReason.MediaTimeout: Guide(
        "media", "媒体中继没有收到媒体流。",
        "NAT and the RTP ports on the way to both sides",
        "open the ports; look whether rtpengine can be reached from both sides",
        _SHOW,
    ),
    EndReason.GatewayRejected: Guide(
        "gateway", "网关以没有对应原因的代码拒绝。",
        "the gateway's code and text: the attempts of the call",
        "ask the carrier what the code means; `switch_on` lets another gateway be tried after it",
        "trunkline cdr stats --by gateway,reason --gateway {gateway} --since 1h",
    ),
    EndReason.OperatorKill: Guide(
        "ordinary", "由管理员或服务器停止时结束。",
        "who ended it: a command, or a stop of the router that could wait no longer",
        "nothing",
        "trunkline audit",
    ),
    EndReason.ServerFailure: Guide(
        "server", "服务器故障，或工作进程在接听前退出。",
        "the router's log, by the call's id",
        "report it with the lines of the log",
        "trunkline status",
    ),
    EndReason.SystemRestart: Guide(
        "server", "断电时通话仍在进行，计费到最后一次心跳。",
        "when the machine went down: its own log",
        "nothing: the call is billed up to the last heartbeat",
        _SHOW,
    ),
}
"""Every reason has its entry."""
