"""Variants keep their names; two spellings of one are no two variants."""

from recab_helpers.impressions import read_log
from tests.made import LOG, counts_of, refusal

SAME = counts_of(read_log(LOG))


def test_two_spellings_of_a_variant_are_named():
    odd = LOG.assign(variant=["control", "control ", "control", "treatment", "Treatment", "treatment"])
    assert "'Treatment' and 'treatment' and 'control' and 'control ', which differ only by case or blanks" in refusal(
        odd
    )


def test_blanks_around_a_variant_that_is_written_in_one_way_are_no_part_of_its_name():
    read = read_log(LOG.assign(variant=" " + LOG["variant"]))
    assert counts_of(read) == SAME
    assert read.notes == ()
