"""Checks of the sentences that a person reads."""

from __future__ import annotations

_NOISE = ("Traceback", "<class", "object at 0x", '.py"', "codec can't", "Exceeds the limit")
_LONGEST = 600


def assert_sentence(sentence: str, *words: str) -> None:
    """Check that a person can read this in one line, that gRPC can carry it, and that it contains these words."""
    assert sentence and sentence.isprintable(), repr(sentence)
    assert len(sentence) < _LONGEST, sentence
    for noise in _NOISE:
        assert noise not in sentence, sentence
    for word in words:
        assert word in sentence, sentence
