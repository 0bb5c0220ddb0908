"""Balance: as many yes as no where that can be, nothing lost, nothing taken too often."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from adhere.text import YES_NO
from adhere.train.balance import MOST_TIMES, balanced
from adhere.train.rows import Row, answer_row

COUNTS = st.integers(0, 12)


def rows(*answers: str) -> list[Row]:
    return [
        {**answer_row(f"Question {n}?", chosen=answer, rejected="Perhaps."), "length": 9 + n % 4}
        for n, answer in enumerate(answers)
    ]


def taken(pairs: list[Row]) -> Counter[str]:
    return Counter(str(pair["prompt"]) for pair in pairs)


@given(yes=COUNTS, no=COUNTS, neither=COUNTS)
def test_all_pairs_stay_and_the_rarer_side_comes_again(yes: int, no: int, neither: int) -> None:
    given_rows = rows(*["Yes, do."] * yes, *["No, never."] * no, *["Nobody knows."] * neither)
    found = balanced(given_rows, "dpo", list[str]().append)
    times = taken(found)
    assert set(times) == set(taken(given_rows))
    few, many = sorted((yes, no))
    assert len(found) == neither + many + min(many, MOST_TIMES * few)
    rarer = taken(given_rows[:yes] if yes < no else given_rows[yes : yes + no])
    counts = [times.pop(pair) for pair in rarer]
    assert all(1 <= count <= MOST_TIMES for count in counts)
    assert max(counts, default=1) - min(counts, default=1) <= 1
    assert set(times.values()) <= {1}
    lengths = [pair["length"] for pair in found]
    assert lengths == sorted(lengths)


def test_the_side_is_read_in_every_language() -> None:
    for yes, no in YES_NO.values():
        found = balanced(rows(f"{yes}, a", f"{yes}, b", f"{no}, c"), "dpo", list[str]().append)
        assert sorted(taken(found).values()) == [1, 1, 2]


def test_it_is_said_only_where_something_is_taken_again() -> None:
    notes: list[str] = []
    balanced(rows("Yes, a.", "No, b.", "Open."), "dpo", notes.append)
    balanced(rows("Yes, a.", "Yes, b."), "dpo", notes.append)
    assert not notes
    balanced(rows("Yes, a.", "No, b.", "No, c.", "No, d."), "dpo", notes.append)
    assert notes == ["dpo: answers of yes: 1, of no: 3; of the fewer, 2 are taken again (balance)."]
