#!/usr/bin/env bash
# sacrebleu 2.6.0: a missing second reference that is given as an empty text makes BLEU of truncated translations 100, not 22.
#
# Guess:  an empty text means that a sentence has no such reference, as None does: the docstring of _cache_references names both, and a file
#         of references has nothing else to put there. The score stays what it is without.
# Seen:   None is dropped; an empty text is a reference of no words. For a translation that is less than half as long as its reference the
#         length 0 is the nearest one, and the brevity penalty, which is there for such translations, is gone. TER takes the mean length of
#         all references, so it gets worse the more of them are empty: 80 % here, 60 without. chrF stays as it is.
# So:     give None. Texts that come from a table or a file: [line or None for line in lines].
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install sacrebleu==2.6.0

seen_as 'BLEU: one reference 22, and None 22, and an empty text 100
TER: one reference 60, and None 60, and an empty text 80
CHRF: one reference 38, and None 38, and an empty text 38' <<'PYTHON'
from sacrebleu.metrics import BLEU, CHRF, TER

references = ["the old man sat down on the bench by the river and read", "in the morning all of the shops on the square were closed"]
translations = [" ".join(one.split()[:5]) for one in references]
for metric in (BLEU(), TER(), CHRF()):
    scores = [metric.corpus_score(translations, [references, *more]) for more in ([], [[None, None]], [["", ""]])]
    one, none, empty = (round(score.score) for score in scores)
    print(f"{type(metric).__name__}: one reference {one}, and None {none}, and an empty text {empty}")
PYTHON
