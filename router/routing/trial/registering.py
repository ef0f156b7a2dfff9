"""Phones of a trial that register: by a REGISTER of their own, and with their password."""

from __future__ import annotations

from router.core.agent import Agent
from router.core.flow import Flow
from router.core.transactions.client_request import RequestClient
from router.core.transactions.layer import ClientTransaction
from router.routing.objects import Phone
from router.sip.digest import answer_challenge, choose_challenge
from router.sip.message import Response
from router.sip.render import render_request

AUTHORIZATIONS = {401: ("www-authenticate", "Authorization"),
                  407: ("proxy-authenticate", "Proxy-Authorization")}


class Registering:
    """One registration; `status` is the final answer, 0 for none yet or none at all."""

    def __init__(self, agent: Agent, phone: Phone, us: Flow) -> None:
        self.status = 0
        self._agent = agent
        self._phone = phone
        self._us = us
        self._call_id = f"{agent.token()}@{agent.listener.host}"
        self._tag = agent.token()
        self._cseq = 0
        self._send("")

    def _send(self, authorization: str) -> None:
        agent, number = self._agent, self._phone.number
        self._cseq += 1
        branch = "z9hG4bK" + agent.token()
        data = render_request(
            "REGISTER", self._uri,
            f"{agent.vias[0]}{branch};rport\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{number}@{self._host}>;tag={self._tag}\r\nCall-ID: {self._call_id}\r\n",
            f"To: <sip:{number}@{self._host}>\r\nCSeq: {self._cseq} REGISTER\r\n"
            f"Contact: <sip:{number}@{agent.authority}>\r\nExpires: 3600\r\n{authorization}", b"",
        )
        RequestClient(agent.layer, self, branch, self._us, "REGISTER", data)

    @property
    def _host(self) -> str:
        us = self._us
        return f"[{us.host}]:{us.port}" if ":" in us.host else f"{us.host}:{us.port}"

    @property
    def _uri(self) -> str:
        return f"sip:{self._host}"

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """An answer; a challenge is met once."""
        status = response.status
        if status in AUTHORIZATIONS and self._cseq == 1:
            asks, answers = AUTHORIZATIONS[status]
            challenge = choose_challenge(response.get_all(asks))
            if challenge is not None:
                value = answer_challenge(
                    challenge, "REGISTER", self._uri, self._phone.number, self._phone.password,
                    cnonce=self._agent.token(),
                )
                self._send(f"{answers}: {value}\r\n")
                return
        if status >= 200:
            self.status = status

    def on_timeout(self, client: ClientTransaction) -> None:
        """Nobody answered."""

    def on_transport_error(self, client: ClientTransaction) -> None:
        """Nobody can be reached."""
