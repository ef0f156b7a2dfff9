"""Media of calls through rtpengine, over its ng protocol; the packets never come here."""
