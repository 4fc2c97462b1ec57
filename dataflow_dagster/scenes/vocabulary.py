"""Vocabularies of the scene models, stated in full."""

import re
from collections.abc import Iterable, Sequence

from tokenizers import models, pre_tokenizers


def state_vocabulary(specials: Sequence[str], texts: Iterable[str]) -> models.BPE:
    """Specials, 256 bytes, then one left-to-right chain of merges for every word of `texts`.

    A trainer numbers its pieces differently in every process; two of these are equal.
    """
    pieces = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges: dict[tuple[str, str], None] = {}
    for word in _list_words(texts):
        head = word[0]
        for letter in word[1:]:
            merges.setdefault((head, letter))
            head += letter
            vocabulary.setdefault(head, len(vocabulary))
    return models.BPE(vocab=vocabulary, merges=list(merges))


def _list_words(texts: Iterable[str]) -> list[str]:
    """Each once, as byte-level BPE spells it: a space in front is `Ġ`."""
    words = [word.replace(" ", "Ġ") for text in texts for word in re.findall(r" ?[A-Za-z]+", text)]
    return list(dict.fromkeys(words))
