"""Names are known by their hash, addresses by their bits; what is no address is refused with row and value, or missing."""

from __future__ import annotations

import ipaddress

import numpy as np
import pyarrow as pa
import pytest

from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Field, Source
from sparkml_algos.rows.identities import NO_ADDRESS, Ipv4, Name, to_addresses
from sparkml_algos.rows.kinds import InvalidRows

WRONG = [
    *("", ".", "...", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-4", "1.2.3.4a", "a.b.c.d", "1..2.3", ".1.2.3", "1.2.3.", "01.2.3.4"),
    *(
        "1.2.3.04",
        "1.2.3.00",
        "1.2.3.4/24",
        "1 .2.3.4",
        "0x1.2.3.4",
        "1.2.3.1000",
        "999999999999",
        "\uff11.2.3.4",
        "2001:db8::1",
        "1.2.3.4" * 9,
    ),
]
FIELD = Field("ip", Ipv4(), "")


def read(values: list[str | None], kind: Ipv4) -> np.ndarray:
    (part,) = record_batches([FIELD], {"ip": values})
    return Decoder([Source(FIELD.of(kind), ["address"])])(part).ip


def test_addresses_are_the_numbers_of_their_bits() -> None:
    numbers = np.random.default_rng(0).integers(1 << 32, size=5000)
    numbers[:4] = 0, (1 << 32) - 1, 1 << 24, 255
    texts = pa.array([str(ipaddress.IPv4Address(int(number))) for number in numbers])
    np.testing.assert_array_equal(to_addresses(texts), numbers)
    np.testing.assert_array_equal(to_addresses(texts[10:20]), numbers[10:20])


def test_blanks_around_an_address_are_no_part_of_it() -> None:
    assert read([" 10.0.0.1", "10.0.0.1\t"], Ipv4()).tolist() == [10 << 24 | 1] * 2


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_address_is_refused_or_missing(wrong: str) -> None:
    assert read(["10.0.0.1", wrong], Ipv4(may_be_missing=True)).tolist() == [10 << 24 | 1, NO_ADDRESS]
    with pytest.raises(InvalidRows) as caught:
        read(["10.0.0.1", wrong], Ipv4())
    assert str(caught.value).startswith(f"ip column 'address' is {wrong!r}") and str(caught.value).endswith("in row 1")
    assert ("an address of version 6" in str(caught.value)) == (":" in wrong)


def test_null_is_missing_where_that_is_allowed() -> None:
    assert read([None, "10.0.0.1"], Ipv4(may_be_missing=True)).tolist() == [NO_ADDRESS, 10 << 24 | 1]


def test_a_whole_number_is_known_by_its_digits() -> None:
    assert Name().arrays([17])[""].equals(Name().arrays(["17"])[""])
