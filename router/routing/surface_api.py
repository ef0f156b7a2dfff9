"""The settings of the HTTP API: where it is served, and with which certificate."""

from __future__ import annotations

from dsl.surface import Setting, ValueType

API = (
    Setting(
        "api",
        ValueType("endpoint"),
        "Where the HTTP API is served, such as 127.0.0.1:9465; it needs trunkline[admin].",
    ),
    Setting(
        "api_tls_certificate",
        ValueType("string"),
        "The PEM file of the API's certificate and those above it, from this file's folder.",
        beside="api_tls_key",
        file=True,
    ),
    Setting(
        "api_tls_key",
        ValueType("string"),
        "The PEM file of the certificate's private key, without a password.",
        beside="api_tls_certificate",
        file=True,
    ),
)
