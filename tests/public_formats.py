"""Small files of every public format, made by hand: what importers are tested and fuzzed on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from popi_prompt.importers import Wanted, import_users
from popi_prompt.schema import User

SIGNALS = "Pair-wise Comparative Feedback"
Files = Mapping[str, Any]  # by name: records, an object for ".json", or text for other suffixes


def contrast(number: int) -> dict[str, str]:
    return {"prompt": f"ask {number}", "chosen": f"good {number}", "rejected": f"bad {number}"}


ALIGNX: Files = {
    "alignx.json": [
        {
            **contrast(i),
            "ground_truth_persona": "Be brief.",
            "profile": "Young",
            SIGNALS: [contrast(100 + i), contrast(200 + i)],
        }
        for i in range(3)
    ]
}

_PREFERENCE = {"preference": "I avoid loud hotels.", "question": "Which hotel in Rome?"}
PREFEVAL: Files = {
    "mcq_options/hotels.json": [
        {**_PREFERENCE, "classification_task_options": ["Quiet inn", "Disco", "Bar", "Club"]},
        {
            "preference": "I need a lift.",
            "question": "Where to sleep in Oslo?",
            "classification_task_options": ["With a lift", "Steep stairs", "", "With a lift"],
        },
    ],
    "explicit_preference/hotels.json": [
        _PREFERENCE,
        {"preference": "I need a lift.", "question": "Where to sleep in Oslo?"},
    ],
    "choice-based/hotels.json": [
        {
            **_PREFERENCE,
            "implicit_query": "A hotel in Paris?",
            "conversation": {
                "query": "A hotel in Paris?",
                "assistant_options": "1. Calm\n2. Party",
                "user_selection": "The calm one.",
                "assistant_acknowledgment": "Noted.",
            },
        }
    ],
    "persona-driven/hotels.json": [
        {
            **_PREFERENCE,
            "persona": "A nurse",
            "conversation": {
                str(i): {"user": f"said {i}", "assistant": f"answered {i}"} for i in range(11)
            },
        }
    ],
}


def _choice(task: str, chosen: str | None, person: str = "Ada") -> dict[str, Any]:
    return {
        "product": "lamp",
        "Option A": ["red", "tall"],
        "Option B": ["blue", "tall"],
        "Option C": ["blue", "small"],
        "User": person,
        "Task": task,
        "gt": chosen,
    }


def _persona(most: str, second: list[str], dislike: list[str]) -> dict[str, Any]:
    colour = {"like_most": most, "like_second": second, "dislike": dislike}
    return {"Ada": {"persona_info": {"name": "Ada", "lamp": {"colour": colour}}, "sample_list": []}}


PAHF: Files = {
    "phase1.json": [_choice("first lamp", "A"), _choice("second lamp", None)],
    "phase2.json": [_choice("third lamp", "B"), _choice("fourth lamp", None)],
    "phase3.json": [_choice("first lamp", "C")],
    "phase4.json": [_choice("third lamp", "A")],
    "persona_info.json": _persona("red", ["green"], ["blue", "black"]),
    "updated_persona_info.json": _persona("blue", ["black"], ["red"]),
}


def _elix(number: int, label: float | None, level: str = "expert") -> dict[str, Any]:
    return {
        "prompt": f"explain {number}",
        "response_x": f"plain {number}",
        "response_y": f"deep {number}",
        "level_x": "child",
        "level_y": "expert",
        "scorer_level": level,
        "label": label,
    }


ELIX: Files = {
    "elix.jsonl": [
        *(_elix(i, 1) for i in range(24)),
        *(_elix(i, 0.0, "child") for i in range(12)),
        _elix(90, None),
        {**_elix(91, 0), "response_x": ""},
    ]
}
ROLEPLAY: Files = {
    "roleplay.parquet": [
        {"x": f"ask {i}", "yw": f"as a pirate {i}", "yl": f"plain {i}", "level": 7}
        | {"score_persona": "The user is a pirate."}
        for i in range(20)
    ]
}


def _said(conversation: str, number: int, prompt: str, scores: list[int]) -> list[dict[str, Any]]:
    best = max(scores)
    return [
        {
            "utterance_id": f"{conversation}-{number}-{i}",
            "conversation_id": conversation,
            "user_id": "user0",
            "turn": number,
            "user_prompt": prompt,
            "model_response": f"{conversation} answer {i} to turn {number}",
            "score": score,
            "if_chosen": score == best,
        }
        for i, score in enumerate(scores)
    ]


SURVEY = [
    {
        "user_id": f"user{i}",
        "self_description": "I value plain words.",
        "system_string": "Be brief and honest.",
        "stated_prefs": {"factuality": 90, "creativity": 10, "other": None, "other_text": "x"},
    }
    for i in range(2)
]
UTTERANCES = [
    *(row for c in range(4) for row in _said(f"c{c}", 0, f"opening {c}", [50, 90, 10, 20])),
    *_said("c0", 1, "and then?", [30, 60]),
    *_said("c9", 0, "all alike", [40, 40]),
]
PRISM_UTTERANCES: Files = {"survey.jsonl": SURVEY, "utterances.jsonl": UTTERANCES}
PRISM: Files = {
    "survey.jsonl": SURVEY,
    "conversations.jsonl": [
        {
            "conversation_id": name,
            "user_id": "user0",
            "opening_prompt": next(
                u["user_prompt"] for u in UTTERANCES if u["conversation_id"] == name
            ),
            "conversation_history": [
                {"turn": 0, "role": "user", "content": "asked", "score": None},
                *(
                    {
                        "turn": u["turn"],
                        "role": "model",
                        "content": u["model_response"],
                        "score": u["score"],
                        "if_chosen": u["if_chosen"],
                    }
                    for u in UTTERANCES
                    if u["conversation_id"] == name
                ),
            ],
        }
        for name in ("c0", "c1", "c2", "c3", "c9")
    ],
}

_TAG = "Which tag does this movie relate to? tags: [comedy, war, space] description: "
_STARS = "What is the score of the following review on a scale of 1 to 5? review: it broke"
_CITE = 'For "Maps", which reference is related? [1]: "Roads" [2]: "Soups"'
LAMP: Files = {
    "questions.json": [
        {
            "id": "10",
            "input": _TAG + "a ship",
            "profile": [
                {"id": "1", "tag": "war", "description": "a tank"},
                {"id": "2", "tag": "space", "description": "  "},
            ],
        },
        {"id": "20", "input": _STARS, "profile": [{"id": "3", "text": "Works", "score": "5"}]},
        {
            "id": "30",
            "input": _CITE,
            "profile": [{"id": "4", "title": "Atlases", "abstract": "On atlases."}],
        },
        {
            "id": "40",
            "input": "Generate a headline for the following article: It rained.",
            "profile": [
                {"id": "5", "title": "Sun", "text": "It shone."},
                {"id": "6", "text": "A tweet", "category": "news"},
            ],
        },
        {
            "id": "50",
            "input": "Paraphrase the following tweet: so tired",
            "profile": [{"id": "7", "text": "Up early"}],
        },
    ],
    "outputs.json": {
        "task": "LaMP_2",
        "golds": [
            {"id": "10", "output": "space"},
            {"id": "20", "output": "1"},
            {"id": "30", "output": "[1]"},
            {"id": "40", "output": "Rain"},
        ],
    },
}

_FILMS = [f"Film {i} (19{i}0)" for i in range(9)]
MOVIELENS: Files = {
    "ratings.csv": [
        {"userId": "1", "movieId": str(i), "rating": str(0.5 + 0.5 * i), "timestamp": "9"}
        for i in range(9)
    ]
    + [{"userId": "2", "movieId": "99", "rating": "3.0", "timestamp": "9"}],
    "movies.csv": [
        {"movieId": str(i), "title": title, "genres": "Drama|War" if i else "(no genres listed)"}
        for i, title in enumerate(_FILMS)
    ],
}
ML_100K: Files = {
    "u.data": "".join(f"1\t{i}\t{1 + i % 5}\t881250949\n" for i in range(9))
    + "1\t0\t5\t881250950\n",
    "u.item": "".join(
        f"{i}|{title}|01-Jan-1995||http://x|{'|'.join('1' if g == i else '0' for g in range(19))}\n"
        for i, title in enumerate(["Am\xe9lie", *_FILMS[1:]])
    ).encode("latin-1"),
}
ML_1M: Files = {
    "ratings.dat": "".join(f"1::{i}::{1 + i % 5}::978300760\n" for i in range(9)),
    "movies.dat": "".join(f"{i}::{title}::Comedy|War\n" for i, title in enumerate(_FILMS)),
}


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


PREFERENCES: Files = {
    "votes.jsonl": [
        *({"user_id": 7, "group": "g", "gold": "Be good.", **contrast(i)} for i in range(6)),
        {"user_id": 7, **contrast(0)},
        {"user_id": 7, **contrast(8), "chosen": "alike", "rejected": " alike "},
        {"user_id": 7, **contrast(9), "chosen": " "},
    ]
}
VOTES_CSV: Files = {
    "votes.csv": [
        {"annotator": f"a{i % 2}", "question": f"ask, {i}", "win": f'a "good"\n{i}', "lose": "bad"}
        for i in range(6)
    ]
}
VOTES_PARQUET: Files = {"votes.parquet": [{"user": "u", **contrast(i)} for i in range(4)]}
TRL: Files = {
    "trl.json": [
        {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
        {"chosen": "The sea is blue.", "rejected": "The sea is green."},
        {
            "prompt": [_user("What colour is grass?")],
            "chosen": [_assistant("Green.")],
            "rejected": [_assistant("Blue.")],
        },
        {
            "chosen": [_user("What colour is snow?"), _assistant("White.")],
            "rejected": [_user("What colour is snow?"), _assistant("Black.")],
        },
        {
            "prompt": [_user("Hi"), _assistant("Hello"), _user("And coal?")],
            "chosen": [_assistant("Black.")],
            "rejected": [_assistant("White.")],
        },
        {
            "prompt": "What colour is mud?",
            "chosen": [_user("What colour is mud?"), _assistant("Brown.")],
            "rejected": [_user("What colour is mud?"), _assistant("Pink.")],
        },
    ]
}
OPENAI: Files = {
    "openai.jsonl": [
        {
            "input": {"messages": [_user(f"ask {i}")], "tools": [], "parallel_tool_calls": True},
            "preferred_output": [_assistant(f"good {i}")],
            "non_preferred_output": [_assistant(f"bad {i}")],
        }
        for i in range(3)
    ]
    + [
        {
            "input": {"messages": [_user("call it")]},
            "preferred_output": [{"role": "assistant", "content": None, "tool_calls": []}],
            "non_preferred_output": [_assistant("no")],
        }
    ]
}
CHAT: Files = {
    "chat.jsonl": [
        {"user_id": "u", "prompt": "ask 1", "response": "long", "feedback": "down"},
        {"user_id": "u", "prompt": "ask 1", "response": "short", "feedback": "thumbs_up"},
        {"user_id": "u", "prompt": "ask 2", "response": "fine", "feedback": None},
        {"user_id": "u", "prompt": "ask 3", "response": "so so", "feedback": 1},
        {"user_id": "u", "prompt": "", "response": "lost", "feedback": 1},
        {
            "user_id": "u",
            "messages": [
                _user("ask 4"),
                {**_assistant("first"), "feedback": "\N{THUMBS DOWN SIGN}"},
                _user("again"),
                _assistant("second"),
            ],
            "feedback": True,
        },
        {
            "user_id": "u",
            "messages": [{"role": "system", "content": "x"}, _user("ask 5"), _assistant("yes")],
        },
    ]
}
KTO: Files = {
    "kto.csv": [
        {"prompt": f"ask {i}", "completion": f"answer {i}", "label": str(i % 2 == 0)}
        for i in range(4)
    ]
}

FORMATS: dict[str, tuple[str, Files]] = {
    "alignx": ("alignx", ALIGNX),
    "prefeval": ("prefeval", PREFEVAL),
    "pahf": ("pahf", PAHF),
    "elix": ("fspo", ELIX),
    "roleplay": ("fspo", ROLEPLAY),
    "prism": ("prism", PRISM),
    "prism utterances": ("prism", PRISM_UTTERANCES),
    "lamp": ("lamp", LAMP),
    "movielens": ("movielens", MOVIELENS),
    "movielens 100K": ("movielens", ML_100K),
    "movielens 1M": ("movielens", ML_1M),
    "preferences": ("preferences", PREFERENCES),
    "preferences csv": ("preferences", VOTES_CSV),
    "preferences parquet": ("preferences", VOTES_PARQUET),
    "trl": ("preferences", TRL),
    "openai": ("preferences", OPENAI),
    "chat": ("chat", CHAT),
    "kto": ("chat", KTO),
}
COLUMNS = {
    "preferences csv": {
        "user": "annotator",
        "prompt": "question",
        "chosen": "win",
        "rejected": "lose",
    }
}


def encode(name: str, content: Any) -> bytes:
    """The bytes of a file, by its suffix."""
    if isinstance(content, str | bytes):
        return content if isinstance(content, bytes) else content.encode()
    if name.endswith(".jsonl"):
        return "".join(json.dumps(record) + "\n" for record in content).encode()
    if name.endswith(".csv"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(content[0]))
        writer.writeheader()
        writer.writerows(content)
        return text.getvalue().encode("utf-8", "surrogatepass")
    if name.endswith(".parquet"):
        return _parquet(content)
    return json.dumps(content).encode()


def _parquet(content: Any) -> bytes:
    import pyarrow as arrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(content), file)
    return file.getvalue()


def save(folder: Path, files: Files) -> list[str]:
    """Write the files; their paths in order."""
    paths = [folder / name for name in files]
    for path, (name, content) in zip(paths, files.items(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(name, content))
    return [str(path) for path in paths]


def read(
    name: str, folder: Path, files: Files, **wanted: Any
) -> tuple[dict[str, User], dict[str, int]]:
    """Users by id, and what was left out."""
    return read_paths(name, save(folder, files), **wanted)


def read_paths(
    name: str, paths: list[str], **wanted: Any
) -> tuple[dict[str, User], dict[str, int]]:
    """As `read`, of files that are there."""
    imported = import_users(name, paths, Wanted(**wanted))
    users = {user.user_id: user for user in imported.users}
    return users, {reason: count for reason, count in imported.left_out.items() if count}
