from __future__ import annotations

import pytest

from router.sip.sdp import codecs, first_codec

HEAD = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("media", "codec"),
    [
        (b"m=audio 4000 RTP/AVP 8 0 101\r\n", "PCMA"),
        (b"m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n", "PCMU"),
        (b"m=audio 4000 RTP/AVP 96 0\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 opus/48000/2\r\n",
         "opus"),
        (b"m=video 4002 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 18\r\n", "G729"),
        (b"m=audio 4000 RTP/AVP 96\r\n", ""),
        (b"m=audio 4000\r\n", ""),
        (b"m=audio 4000 RTP/AVP 96\na=rtpmap:96 \xff\xfe/8000\n", ""),
        (b"", ""),
    ],
)
def test_the_first_codec_of_the_first_audio_stream_is_named(media: bytes, codec: str) -> None:
    assert first_codec(HEAD + media) == codec


@pytest.mark.parametrize(
    ("media", "names"),
    [
        (b"m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
         ["PCMA", "PCMU", "telephone-event"]),
        (b"m=audio 4000 RTP/AVP 96 8\r\nm=video 1 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
         ["96", "PCMA"]),
        (b"m=audio 4000 RTP/AVP 8 8 x 1234 \xff\r\n", ["PCMA"]),
        (b"m=audio 4000 RTP/AVP " + b" ".join(b"%d" % one for one in range(97, 127)) + b"\r\n",
         [str(one) for one in range(97, 117)]),
        (b"m=audio 4000\r\n", []),
        (b"m=image 4000 udptl t38\r\n", []),
        (b"", []),
    ],
)
def test_the_codecs_of_the_first_audio_stream_are_named_in_its_order(
    media: bytes, names: list[str]
) -> None:
    assert codecs(HEAD + media) == names
