"""Digest authentication: the RFCs' own examples, what old peers write, and what nobody may."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.sip.digest import (
    Challenge,
    Credentials,
    _any_params,
    _plain_params,
    answer_challenge,
    canonical_algorithm,
    choose_challenge,
    digest_ha1,
    digest_response,
    is_right,
    is_supported,
    parse_challenge,
    parse_credentials,
    render_challenge,
    render_credentials,
)
from router.sip.errors import SipError

# RFC 2617 §3.5
RFC_2617 = Credentials(
    "Mufasa", "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "/dir/index.html",
    "6629fae49393a05397450978507c4ef1", "", "auth", 1, "0a4f113b",
    "5ccc069c403ebaf9f0171e9517f40e41",
)
# RFC 7616 §3.9.1
RFC_7616_MD5 = Credentials(
    "Mufasa", "http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "/dir/index.html", "8ca523f5e9506fed4657c9700eebdbec", "MD5", "auth", 1,
    "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
)
RFC_7616_SHA = replace(
    RFC_7616_MD5, algorithm="SHA-256",
    response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
)


@pytest.mark.parametrize(("credentials", "password"), [
    (RFC_2617, "Circle Of Life"),
    (RFC_7616_MD5, "Circle of Life"),
    (RFC_7616_SHA, "Circle of Life"),
], ids=["RFC 2617", "RFC 7616 MD5", "RFC 7616 SHA-256"])
def test_the_examples_of_the_standards_come_out(credentials: Credentials, password: str) -> None:
    algorithm = credentials.algorithm
    ha1 = digest_ha1(credentials.username, credentials.realm, password, algorithm)
    assert digest_response(ha1, "GET", credentials) == credentials.response
    assert is_right(ha1, "GET", credentials)
    assert is_right(ha1, "GET", replace(credentials, response=credentials.response.upper()))
    assert not is_right(ha1, "PUT", credentials)
    assert not is_right(ha1, "GET", replace(credentials, count=2))
    assert not is_right(ha1, "GET", replace(credentials, response=""))
    assert not is_right(ha1, "GET", replace(credentials, response="é\udcff"))
    wrong = digest_ha1(credentials.username, credentials.realm, password + "!", algorithm)
    assert not is_right(wrong, "GET", credentials)


def test_without_a_quality_of_protection_the_answer_is_that_of_rfc_2069() -> None:
    # RFC 2069 §2.4 with the errata's response
    credentials = Credentials(
        "Mufasa", "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "/dir/index.html",
        "1949323746fe6a43ef61f9606e7febea",
    )
    assert is_right(digest_ha1("Mufasa", credentials.realm, "CircleOfLife"), "GET", credentials)


def test_a_session_algorithm_and_the_body_go_into_the_answer() -> None:
    credentials = replace(RFC_2617, algorithm="MD5-sess", qop="auth-int")
    ha1 = digest_ha1("Mufasa", credentials.realm, "Circle Of Life", "MD5-sess")
    right = digest_response(ha1, "GET", credentials, b"body")
    assert is_right(ha1, "GET", replace(credentials, response=right), b"body")
    assert not is_right(ha1, "GET", replace(credentials, response=right), b"other")
    assert right != digest_response(ha1, "GET", replace(credentials, algorithm="MD5"), b"body")


def test_a_challenge_is_answered_by_our_own_client() -> None:
    challenge = Challenge("carrier", "n1", "SHA-256", ("auth", "auth-int"), "op", True)
    value = render_challenge(challenge)
    assert value == (
        'Digest realm="carrier", nonce="n1", opaque="op", stale=true, algorithm=SHA-256, '
        'qop="auth,auth-int"'
    )
    answer = answer_challenge(
        value, "INVITE", "sip:86138@192.0.2.1", "trunk", "secret", cnonce="c1", nc=2
    )
    credentials = parse_credentials(answer)
    assert credentials is not None
    assert (credentials.qop, credentials.count, credentials.cnonce) == ("auth", 2, "c1")
    assert (credentials.uri, credentials.opaque) == ("sip:86138@192.0.2.1", "op")
    assert "nc=00000002" in answer and "qop=auth," in answer and "algorithm=SHA-256" in answer
    ha1 = digest_ha1("trunk", "carrier", "secret", "SHA-256")
    assert is_right(ha1, "INVITE", credentials)
    assert not is_right(ha1, "REGISTER", credentials)


@pytest.mark.parametrize(("qop", "algorithm", "wanted"), [
    ((), "", 'response='),
    ((), "MD5-sess", "cnonce="),
    (("auth-int",), "MD5", "qop=auth-int"),
    (("auth",), "md5", "algorithm=md5"),
])
def test_the_answer_has_what_the_challenge_asks_for(
    qop: tuple[str, ...], algorithm: str, wanted: str
) -> None:
    challenge = Challenge("r", "n", algorithm, qop)
    answer = answer_challenge(
        challenge, "REGISTER", "sip:r", "u", "p", cnonce="c", body=b"x"
    )
    assert wanted in answer
    assert ("nc=" in answer) == bool(qop)
    credentials = parse_credentials(answer)
    assert credentials is not None
    assert is_right(digest_ha1("u", "r", "p", algorithm), "REGISTER", credentials, b"x")


def test_of_several_challenges_the_first_that_can_be_answered_is_taken() -> None:
    values = [
        "Basic realm=x", 'Digest realm="r"', 'Digest realm="r", nonce="n", algorithm=TOKEN',
        'Digest realm="r", nonce="n", qop="future"', 'Digest realm="r", nonce="n2"',
        'Digest realm="r", nonce="n3", algorithm=SHA-256',
    ]
    chosen = choose_challenge(values)
    assert chosen is not None
    assert (chosen.nonce, chosen.qop) == ("n2", ())
    assert choose_challenge(values[:4]) is None
    assert choose_challenge([]) is None
    with pytest.raises(SipError, match="cannot be answered"):
        answer_challenge(values[2], "INVITE", "sip:a", "u", "p", cnonce="c")
    with pytest.raises(SipError, match="cannot be answered"):
        answer_challenge(Challenge("r", "n", "TOKEN"), "INVITE", "sip:a", "u", "p", cnonce="c")


@pytest.mark.parametrize("value", [
    'DIGEST username="u",realm="r",nonce="n",uri="sip:a",response="x"',
    "Digest username=u, realm=r, nonce=n, uri=sip:a, response=x",
    ' digest \tusername = "u" ,, realm="r" , nonce="n",uri="sip:a",response="x",',
    'Digest algorithm="MD5", username="u", realm="r", nonce="n", uri="sip:a", response="x", '
    'qop="auth", nc="00000001", cnonce=c',
    'Digest username="u", realm="r", nonce="n", uri="sip:a", response="x", qop=AUTH, '
    'nc=00000001, cnonce="", future="1, 2"',
])
def test_credentials_are_read_as_old_peers_write_them(value: str) -> None:
    credentials = parse_credentials(value)
    assert credentials is not None
    assert credentials.username == "u"
    assert (credentials.realm, credentials.nonce, credentials.uri) == ("r", "n", "sip:a")
    assert (credentials.response, credentials.count) == ("x", 1 if credentials.qop else 0)


@pytest.mark.parametrize("value", [
    "", " ", '"Digest"', "Digest", 'Digest realm="r"', "Digest username",
    'Digest username="u", realm="r", nonce="n", uri="sip:a"',
    'Digest username="u", realm="r", nonce="n", uri="sip:a", response="x',
    'Digest username="u", username="v", realm="r", nonce="n", uri="sip:a", response="x"',
    'Digest username="u" realm="r", nonce="n", uri="sip:a", response="x"',
    'Digest username="u", realm="r", nonce="n", uri="sip:a", response="x", qop=auth',
    'Digest username="u", realm="r", nonce="n", uri="sip:a", response="x", qop=auth, nc=1, '
    'cnonce="c"',
    'Digest username="u", realm="r", nonce="n", uri="sip:a", response="x", qop=none, '
    'nc=00000001, cnonce="c"',
    'Digest username="u", realm="r", nonce="n", uri="sip:a", response="x", ' + ", ".join(
        f"p{n}=1" for n in range(40)
    ),
    f'Digest username="{"u" * 2_000}", realm="r", nonce="n", uri="sip:a", response="x"',
])
def test_what_cannot_be_read_is_refused(value: str) -> None:
    with pytest.raises(SipError) as refused:
        parse_credentials(value)
    assert refused.value.status == 400


def test_another_scheme_is_no_digest() -> None:
    assert parse_credentials("Basic dTpw") is None
    assert parse_credentials("Bearer") is None
    assert parse_challenge('NTLM realm="x"') is None


def test_algorithms_are_known_by_any_case() -> None:
    assert is_supported("") and is_supported("md5") and is_supported("sha-256-SESS")
    assert not is_supported("AKAv1-MD5")
    assert canonical_algorithm("") == canonical_algorithm("md5") == "MD5"


# -- properties -----------------------------------------------------------------------------------

thorough = settings(max_examples=300, deadline=None, print_blob=True)
texts = st.text(
    st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=40
)
tokens = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12)
qualities = st.sampled_from(["", "auth", "auth-int"])


@thorough
@given(
    texts, texts, texts, texts, texts, st.sampled_from(["", "MD5", "SHA-256", "x"]), qualities,
    st.integers(0, 0xFFFFFFFF), texts, st.none() | texts,
)
def test_credentials_are_read_back_as_they_were_written(
    username: str, realm: str, nonce: str, uri: str, response: str, algorithm: str, qop: str,
    count: int, cnonce: str, opaque: str | None,
) -> None:
    credentials = Credentials(
        username, realm, nonce, uri, response, algorithm, qop, count if qop else 0, cnonce, opaque
    )
    assert parse_credentials(render_credentials(credentials)) == credentials


@thorough
@given(texts, texts, tokens | st.just(""), st.lists(tokens.map(str.lower), max_size=3),
       st.none() | texts, st.booleans())
def test_a_challenge_is_read_back_as_it_was_written(
    realm: str, nonce: str, algorithm: str, qop: list[str], opaque: str | None, stale: bool
) -> None:
    challenge = Challenge(realm, nonce, algorithm, tuple(qop), opaque, stale)
    assert parse_challenge(render_challenge(challenge)) == challenge


@thorough
@given(st.text(max_size=200) | st.text(max_size=200).map(lambda text: f"Digest {text}"))
@example('Digest a="' + "\\" * 100)
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_credentials, parse_challenge):
        try:
            parse(text)
        except SipError as error:
            assert error.status == 400


parts = st.builds(
    "{}{}{}{}".format, st.sampled_from(["", " ", ", ", ",,", "\t"]),
    st.sampled_from(["realm", "nonce", "NONCE", "x", "b@d", ""]),
    st.sampled_from(["=", " = ", "", "==", "= "]),
    st.sampled_from(
        ['""', "a", '"a, b"', '"a', 'a"', '"\\\\""', "a b", '"a"b', " ", "\u2003", '"é="']
    ),
)


@thorough
@given(st.lists(parts, max_size=6).map(",".join))
def test_the_quick_reading_finds_what_the_careful_one_finds(text: str) -> None:
    quick = _plain_params(text)
    if quick is not None:
        assert quick == _any_params(text)


@thorough
@given(texts, texts, texts, st.sampled_from(["", "MD5", "SHA-256", "MD5-sess"]),
       st.sampled_from([(), ("auth",), ("auth-int",), ("auth", "auth-int")]), tokens,
       st.integers(1, 0xFFFFFFFF), st.binary(max_size=20))
def test_what_the_client_answers_the_server_takes_and_with_another_password_it_does_not(
    username: str, realm: str, password: str, algorithm: str, qop: tuple[str, ...], cnonce: str,
    nc: int, body: bytes,
) -> None:
    challenge = Challenge(realm, "nonce", algorithm, qop)
    value = answer_challenge(
        render_challenge(challenge), "INVITE", "sip:b@c", username, password, cnonce=cnonce,
        nc=nc, body=body,
    )
    credentials = parse_credentials(value)
    assert credentials is not None
    assert is_right(digest_ha1(username, realm, password, algorithm), "INVITE", credentials, body)
    wrong = digest_ha1(username, realm, password + "x", algorithm)
    assert not is_right(wrong, "INVITE", credentials, body)
