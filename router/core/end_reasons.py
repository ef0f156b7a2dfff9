"""Why a call ended: the closed list that stands on every CDR.

Each reason carries what a person and a peer need: VOS3000's words in Chinese, the SIP status the
caller gets, the Q.850 cause and a sentence of diagnosis. What to look at stands in `reason_guide`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol


class Transaction(Protocol):
    """What answers a request."""

    @property
    def method(self) -> str:
        """The method of the request."""


class EndReason(Enum):
    """A reason; the value is (Chinese, SIP status or 0, Q.850 cause, diagnosis).

    A status of 0 means that no failure status is sent: the call was answered, or the reason only
    ever ends an answered call. What to do about each stands in `reason_guide`.
    """

    Normal = ("正常", 0, 16, "The call was answered and hung up.")
    Cancelled = ("主叫取消", 487, 16, "The caller gave up before the answer.")
    UserBusy = ("用户忙", 486, 17, "The called party is busy.")
    NoAvailableRouter = (
        "无可用路由", 503, 34,
        "Gateways serve this prefix, but each is down, full, locked or refused the call.",
    )
    NotFound = (
        "未找到", 404, 1,
        "No gateway has a prefix that matches the number, or the gateway does not know it.",
    )
    CalledNotOnline = (
        "被叫不在线", 480, 20,
        "The called phone is not registered and no gateway serves the number.",
    )
    ResponseTimeout = ("响应超时", 408, 19, "It rang, and nobody answered in time.")
    ProceedingTimeout = ("处理超时", 504, 102, "The gateway took the call, but it never rang.")
    ConnectionTimeout = ("连接超时", 504, 102, "No gateway gave any SIP answer after all resends.")
    SessionTimeout = (
        "会话超时", 0, 102, "The session was not refreshed, or it reached its longest duration.",
    )
    AccountLocked = ("账户锁定", 403, 21, "The account, or an agent above it, is locked.")
    AccountExpired = ("账户过期", 403, 21, "The account's validity is over.")
    InsufficientBalance = ("余额不足", 402, 21, "The account's credit does not cover the call.")
    RateNotFound = ("费率未找到", 403, 21, "The account's deck has no rate for the number.")
    CallNotPermitted = (
        "无此呼叫权限", 403, 21, "This kind of call is not allowed for the account.",
    )
    Unregistered = ("未注册", 403, 21, "The phone is not registered and may not call.")
    AuthFailed = ("认证失败", 403, 21, "The credentials are wrong.")
    IpBlocked = ("IP受限", 403, 21, "The source address is not allowed, or blocked for abuse.")
    IllegalCall = (
        "非法呼叫", 403, 21,
        "The source address belongs to no trunk, and no phone identified itself.",
    )
    ConnectionLimitExceeded = (
        "连接超限", 503, 34,
        "Every line of the account, trunk or server named in the decision is in use.",
    )
    CallerNumberRestricted = (
        "主叫受限", 403, 21, "The caller's number is refused by length, prefix or list.",
    )
    CalledNumberRestricted = (
        "被叫受限", 403, 21, "The called number is refused by length, prefix or list.",
    )
    ForwardingLoop = ("前转循环", 482, 25, "Forwarding came back to a number it had left.")
    CodecMismatch = ("编解码不匹配", 488, 88, "The two sides share no codec.")
    MediaTimeout = ("媒体超时", 0, 102, "The relay saw no media.")
    GatewayRejected = (
        "网关拒绝", 500, 31, "The gateway refused with a code that has no reason of its own.",
    )
    ScriptRejected = ("脚本拒绝", 403, 21, "A route of routes.cfg answered the call itself.")
    Overloaded = ("系统过载", 503, 42, "The server shed load.")
    OperatorKill = ("管理员挂断", 0, 31, "An operator ended the call.")
    ServerFailure = (
        "服务器故障", 500, 41, "A fault of the server, or a worker that died before the answer.",
    )
    SystemRestart = (
        "系统重启", 0, 41,
        "The call was open when the machine lost power; it is billed to the last heartbeat.",
    )

    def __init__(self, chinese: str, status: int, q850: int, diagnosis: str) -> None:
        self.chinese = chinese
        self.status = status
        self.q850 = q850
        self.diagnosis = diagnosis


def reason_named(text: str) -> EndReason | None:
    """The reason on a CDR, "GatewayRejected(503)" without its code; None when there is none."""
    return EndReason.__members__.get(text.partition("(")[0])


BY_STATUS: Mapping[int, EndReason] = {
    404: EndReason.NotFound,
    408: EndReason.ResponseTimeout,
    480: EndReason.CalledNotOnline,
    486: EndReason.UserBusy,
    487: EndReason.Cancelled,
    488: EndReason.CodecMismatch,
    503: EndReason.NoAvailableRouter,
    504: EndReason.ConnectionTimeout,
    600: EndReason.UserBusy,
    606: EndReason.CodecMismatch,
}
"""The reason of a gateway's final status when hunting is over; any other: GatewayRejected."""


# Q.850 causes as RFC 3398 §8.2.6.1 maps SIP statuses to ISUP, for GatewayRejected(code).
_CAUSES = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22,
    413: 127, 414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41,
    482: 25, 483: 25, 484: 28, 485: 1, 486: 17, 488: 88, 500: 41, 501: 79, 502: 38, 503: 41,
    504: 102, 505: 127, 513: 127, 600: 17, 603: 21, 604: 1, 606: 88,
}


def cause_of_status(status: int) -> int:
    """The Q.850 cause of a SIP failure status (RFC 3398 §8.2.6.1); 31 when it has none."""
    return _CAUSES.get(status, 31)


def reason_header(cause: int) -> str:
    """The header line that tells a peer the Q.850 cause (RFC 3326 §2, RFC 6432)."""
    return f"Reason: Q.850;cause={cause}\r\n"


def failure_header(server: Transaction, status: int) -> str:
    """The same for a failure status of ours to a request: calls have causes, others have none."""
    return reason_header(cause_of_status(status)) if server.method == "INVITE" else ""
