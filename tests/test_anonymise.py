"""Anonymising: no address, number or id is left, and what differed still differs."""

from __future__ import annotations

import re
import time
from dataclasses import fields, replace

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popi_prompt.anonymise import anonymise, anonymise_all, checked_salt
from popi_prompt.errors import UsageError
from popi_prompt.leaks import Leaks, leaks_within
from popi_prompt.records import parse_user, user_record
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Pair,
    Persona,
    Preference,
    Rating,
    Turn,
    User,
    prompts_in_signals,
)

SALT = b"a salt of this test"
MAIL, PHONE = "ada.lovelace@example.org", "+44 20 7946 0958"
some = settings(max_examples=200, deadline=None)


def masked(text: str) -> str:
    told = anonymise(User("u", (Persona(text),)), SALT).signals[0]
    assert isinstance(told, Persona)
    return told.text


def test_the_id_is_the_same_under_the_same_salt_alone() -> None:
    one = anonymise(User("ada", ()), SALT).user_id
    assert one == anonymise(User("ada", ()), SALT).user_id
    assert one != anonymise(User("ada", ()), SALT + b"!").user_id
    assert one != anonymise(User("adb", ()), SALT).user_id
    assert re.fullmatch("u-[0-9a-f]{32}", one)


def test_every_text_of_every_kind_is_masked() -> None:
    text = f"Write to {MAIL} or call {PHONE}."
    user = User(
        MAIL,
        (
            Persona(text),
            Interaction(text, f"{text} Yes.", "liked"),
            Preference(text, f"{text} Yes.", f"{text} No."),
            Edit(text, f"{text} Yes."),
            Rating(text, 2.0, (1.0, 3.0)),
            Dialogue((Turn("user", text), Turn("assistant", text))),
        ),
        (Pair(text, f"{text} Yes.", f"{text} No.", 2.0),),
        gold=text,
        group=text,
    )
    record = user_record(anonymise(user, SALT))
    assert "example.org" not in str(record)
    assert "7946" not in str(record)
    assert str(record).count("Write to [email 1] or call [phone 1].") == 16
    plain = user_record(replace(user, user_id="u"))
    expected = re.sub(re.escape(MAIL), "[email 1]", str(plain)).replace(PHONE, "[phone 1]")
    assert str({**record, "user_id": "u"}) == expected


def test_the_test_above_knows_every_kind_of_signal() -> None:
    kinds = {Persona, Interaction, Preference, Edit, Rating, Dialogue}
    texts = {f.name for kind in kinds for f in fields(kind) if f.type == "str"}
    assert texts == {"text", "prompt", "response", "chosen", "rejected", "draft", "edited", "item"}


@pytest.mark.slow
@some
@given(st.emails(), st.sampled_from(["{}", "mail {}, now", "<{}>", "mailto:{}?x", "電話{}"]))
def test_no_address_is_left(address: str, around: str) -> None:
    text = masked(around.format(address))
    assert "@" not in text
    assert "[email 1]" in text


@pytest.mark.parametrize(
    "address",
    [
        "jürgen.müller@exämple.de",
        "a@b.co",
        '"john doe"@example.com',
        "x+tag@mail.example.co.uk",
        "root@[192.168.0.1]",
        "ada%40example.org",
    ],
)
def test_addresses_of_unusual_form(address: str) -> None:
    assert masked(f"Ask {address}.") == "Ask [email 1]."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write: 555-0100/a@b.org.", "Write: [email 1]."),
        ("+44 20 7946 0958/a@b.org", "[phone 1] [email 1]"),
        ("a@x.org/b@y.org, a@x.org|b@y.org", "[email 1], [email 2]"),
        ("mailto:a@x.org?cc=b@y.org&subject=x", "mailto:[email 1]&subject=x"),
        ("a@x.org+49 30 901820", "[email 1][phone 1]"),
    ],
)
def test_no_address_is_left_behind_another_one_or_a_number(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize("text", ["@ada said so", "a @ b", "3 @ 5.00", "user@", "look @home.now"])
def test_what_is_no_address_stays(text: str) -> None:
    assert masked(text) == text


FORMATS = (
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.RFC3966,
)
KINDS = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
EXAMPLES = [
    number
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in KINDS
    if (number := phonenumbers.example_number_for_type(region, kind)) is not None
]


def test_example_numbers_of_every_region_are_masked_as_they_are_dialled_from_abroad() -> None:
    assert len(EXAMPLES) > 400
    for number in EXAMPLES:
        for form in FORMATS:
            written = phonenumbers.format_number(number, form)
            text = masked(f"Call me: {written}, please")
            assert not re.search(r"\d{3}", text), written
            assert text.endswith("[phone 1], please"), written


def test_most_national_numbers_are_masked_without_a_word_beside_them() -> None:
    national = phonenumbers.PhoneNumberFormat.NATIONAL
    written = [phonenumbers.format_number(number, national) for number in EXAMPLES]
    long = [each for each in written if sum(char.isdigit() for char in each) >= 9]
    assert len(long) > 200
    left = [each for each in long if masked(f"It is {each} here") != "It is [phone 1] here"]
    assert left == []


def test_every_national_number_is_masked_beside_a_word_that_says_so() -> None:
    national = phonenumbers.PhoneNumberFormat.NATIONAL
    for number in EXAMPLES:
        written = phonenumbers.format_number(number, national)
        if sum(char.isdigit() for char in written) >= 6:
            assert masked(f"My phone is {written}.") == "My phone is [phone 1].", written


@pytest.mark.parametrize(
    "number",
    [
        "555-0100",
        "(030) 1234567",
        "030/1234567",
        "06 12 34 56 78",
        "06.12.34.56.78",
        "1-800-555-0199",
        "0044 20 7946 0958",
        "+49 (0)30 901820",
        "612 345 678",
        "13812345678",
        "٠٥٠١٢٣٤٥٦٧",
    ],
)
def test_numbers_as_people_write_them(number: str) -> None:
    assert masked(f"It is {number}, ok") == "It is [phone 1], ok"
    assert masked(f"電話{number}。") == "電話[phone 1]。"
    assert masked(f"電話は{number}です") == "電話は[phone 1]です"
    assert masked(f"_{number}_ or **{number}**") == "_[phone 1]_ or **[phone 1]**"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("请拨打13812345678联系我", "请拨打[phone 1]联系我"),
        ("090-1234-5678まで", "[phone 1]まで"),
        ("010-1234-5678입니다", "[phone 1]입니다"),
        ("It is 555-123-4567x89", "It is [phone 1]"),
        ("555-123-4567ext. 12", "[phone 1]"),
        ("555-123-4567, Ext. 12, please", "[phone 1], please"),
        ("Call (555)123-4567x1234.", "Call [phone 1]."),
        ("+1-555-123-4567x890", "[phone 1]"),
        ("tel:+1-555-123-4567;ext=89", "tel:[phone 1]"),
        ("5551234567 extension 8", "[phone 1]"),
    ],
)
def test_scripts_without_spaces_and_extensions_write_on_behind_a_number(
    text: str, expected: str
) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+1-555-123-4567call me", "[phone 1]call me"),
        ("555 123 4567or so", "[phone 1]or so"),
        ("at 555-0100 3pm", "at [phone 1] 3pm"),
        ("555-123-4567, 2nd floor", "[phone 1], 2nd floor"),
        ("Tel030 1234567", "Tel[phone 1]"),
        ("WhatsApp555-123-4567", "WhatsApp[phone 1]"),
        ("電話tel13812345678", "電話tel[phone 1]"),
    ],
)
def test_a_number_beside_a_latin_letter_is_masked_as_a_whole(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "on 2023-11-24 at 12:30",
        "on 24.11.2023 and 11/24/2023",
        "from 1914-1918 to 1939 \u2013 1945",
        "about 3.14159265 and 0.123456789",
        "48.858370, 2.294481",
        "1 2 3 4 5 6 7 8 9 10",
        "100 000 000 people, 1.000.000 more, 1400000000 in all",
        "in 1066, 1492 and 1789",
        "12:30:45",
        "version 1.2.3",
        "10,000,000 USD",
        "room 12345",
        "1234567890abcdef and abc1234567890",
        "hotel12345678901",
        "2023年11月24日",
        "在2023-11-24的版本、从1914-1918年、约3.14159265米",
        "_2023-11-24_ and 2023-11-24T12:30:45Z and 20231124T123045Z",
        "covid19 2020-2021, img_20231124_123456.jpg",
        "10 000 000km",
    ],
)
def test_what_is_no_number_of_a_phone_stays(text: str) -> None:
    assert masked(text) == text


def test_the_same_address_has_the_same_mask_and_another_one_another() -> None:
    pair = Pair(f"Who is {MAIL}?", f"Not b@x.org but {MAIL}", "b@x.org")
    found = anonymise(User("u", (), (pair,)), SALT).pairs[0]
    assert found == Pair("Who is [email 1]?", "Not [email 2] but [email 1]", "[email 2]")


def test_a_mask_that_a_text_holds_already_is_not_used_again() -> None:
    pair = Pair("p", "[email 1]", "a@b.org")
    assert anonymise(User("u", (), (pair,)), SALT).pairs == (Pair("p", "[email 1]", "[email 2]"),)


def test_equal_prompts_of_two_users_stay_equal() -> None:
    one, other = (
        anonymise(User(name, (Persona(said),), (Pair(f"Who is {MAIL}?", "x", "y"),)), SALT)
        for name, said in (("a", "c@d.org"), ("b", "none"))
    )
    assert one.pairs == other.pairs


def test_the_mask_of_a_prompt_does_not_hang_on_its_answers() -> None:
    pair = Pair("Who is a@x.org?", "[email 1]", "a@x.org")
    found = anonymise(User("u", (), (pair,)), SALT).pairs[0]
    assert found == Pair("Who is [email 1]?", "[email 1]", "[email 2]")


def test_equal_prompts_stay_equal_in_a_dialogue() -> None:
    asked = ("I am a@x.org.", "Write to b@x.org.", "To b@x.org and a@x.org!")
    told = ("Hello.", "Dear b@x.org, a@x.org. Call 555-0100.", "Not c@x.org: [email 2].")
    turns = [
        turn
        for said, answered in zip(asked, told, strict=True)
        for turn in (Turn("user", said), Turn("assistant", answered))
    ]
    pairs = tuple(Pair(text, "x", "y") for text in asked)
    user = User("u", (Dialogue((Turn("assistant", "Who, d@x.org?"), *turns)),), pairs)
    done = anonymise(user, SALT)
    assert isinstance(done.signals[0], Dialogue)
    assert [turn.content for turn in done.signals[0].messages] == [
        "Who, [email 1]?",
        "I am [email 1].",
        "Hello.",
        "Write to [email 1].",
        "Dear [email 1], [email 2]. Call [phone 1].",
        "To [email 1] and [email 2]!",
        "Not [email 3]: [email 2].",
    ]
    assert leaks_within([done]) == leaks_within([user]) == Leaks(3, same_prompts=3)


PIECES = st.sampled_from(
    [
        MAIL,
        PHONE,
        "a@b.org",
        "555-0100",
        "[email 1]",
        "[phone 1]",
        "[",
        "]",
        " ",
        "x",
        "ext. 7",
        "電話",
        "1",
        "@",
        ".",
    ]
)
TEXTS = st.lists(PIECES, min_size=1, max_size=6).map("".join).filter(str.strip)


@some
@given(TEXTS, TEXTS, TEXTS)
def test_answers_that_differ_still_do(prompt: str, chosen: str, rejected: str) -> None:
    if chosen.strip() == rejected.strip():
        return
    user = anonymise(User("u", (), (Pair(prompt, chosen, rejected),)), SALT)
    assert parse_user(user_record(user)) == user


@some
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_a_prompt_is_masked_alike_wherever_it_occurs(
    prompt: str, answer: str, other: str, before: str
) -> None:
    turns = (Turn("user", before), Turn("assistant", other), Turn("user", prompt))
    user = User(
        "u",
        (
            Interaction(prompt, answer),
            Preference(prompt, answer, other),
            Dialogue((*turns, Turn("assistant", answer))),
        ),
        (Pair(prompt, other, answer),),
    )
    done = anonymise(user, SALT)
    prompts = [done.pairs[0].prompt, *prompts_in_signals(done)]
    assert {text for i, text in enumerate(prompts) if i != 3} == {masked(prompt)}
    assert prompts[3] == masked(before)


@some
@given(st.text())
def test_any_text_is_read_and_a_second_time_changes_nothing(text: str) -> None:
    once = masked(text)
    assert masked(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "a" * 50_000,
        "a@" * 25_000,
        "1 " * 25_000,
        "a." * 25_000,
        "a@b.org/" * 6_000,
        "a%40" * 12_500,
        "a@b.org" + "/" * 50_000,
        "((" * 25_000,
        "1" * 50_000 + "a",
        "1-" * 25_000 + "1a",
        "1 " * 25_000 + "1a",
        "123456x" * 7_000,
        "tel1" * 12_500,
        " ".join(f"a{i}@x.org" for i in range(8_000)),
        " ".join(f"[email {i}] a{i}@x.org" for i in range(4_000)),
    ],
    ids=lambda text: f"{text[:9]!r}",
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    masked(text)
    assert time.process_time() - started < 3


def test_many_addresses_have_masks_that_differ() -> None:
    text = masked(" ".join(f"a{i}@x.org" for i in range(300)))
    assert text == " ".join(f"[email {i + 1}]" for i in range(300))


def test_all_users_under_a_salt_that_is_made_if_none_is_given() -> None:
    users = (User("a", (Persona(MAIL),)), User("b", (Persona("none"),)))
    one, other = anonymise_all(users), anonymise_all(users)
    assert one.masked == 1
    assert one.salt != other.salt
    assert one.users != other.users
    assert anonymise_all(users, one.salt) == one
    assert one.users[0] == anonymise(users[0], one.salt.encode())


def test_a_salt_that_can_be_guessed_is_refused() -> None:
    assert checked_salt(f" {'x' * 16}\n", "here") == "x" * 16
    with pytest.raises(UsageError, match="the salt in here has 15 characters; it needs 16"):
        checked_salt("x" * 15 + "\n", "here")
