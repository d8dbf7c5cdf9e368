"""MovieLens: stars that people gave to films.

Formats: grouplens.org/datasets/movielens: `ratings.csv` with `movies.csv`, `u.data` with `u.item`
(100K), `ratings.dat` with `movies.dat` (1M, 10M). Tags, links and demographics are not used.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from popi_prompt.errors import UsageError
from popi_prompt.importers.held_out import rank
from popi_prompt.importers.imported import Wanted
from popi_prompt.importers.raw_files import is_utf8, lines
from popi_prompt.importers.row import Row
from popi_prompt.importers.tables import read_rows
from popi_prompt.schema import Pair, Rating, User

UNKNOWN = "ratings of films that are not in the file of films"
AGAIN = "ratings of a film that the same person rated again later"
UNTITLED = "films without a title"
_GAP = 1.0
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_KEYS = ("userId", "movieId", "rating", "timestamp")


@dataclass(slots=True)
class Rated:
    """One person's films by number, stars and times: 16 bytes a rating of perhaps 25 million."""

    films: array[int] = field(default_factory=lambda: array("I"))
    stars: array[float] = field(default_factory=lambda: array("f"))
    times: array[float] = field(default_factory=lambda: array("d"))

    def newest(self) -> dict[int, float]:
        """Each film's newest stars in the order of time, or of the file at the same time."""
        stars: dict[int, float] = {}
        for i in sorted(range(len(self.times)), key=self.times.__getitem__):
            stars.pop(self.films[i], None)  # it moves to the end
            stars[self.films[i]] = self.stars[i]
        return stars


def read_movielens(files: Sequence[str], wanted: Wanted, left_out: Counter[str]) -> Iterator[User]:
    """Ratings are signals, the newest last. Films that are held out become pairs.

    One film of a pair is rated a star above the other. A third of a person's films is held out at
    most, two for each pair.
    """
    ratings = [source for source in files if Path(source).stem in ("ratings", "u")]
    films = [source for source in files if source not in ratings]
    both = [s for s in ratings if Path(s).suffix == ".item"]
    ratings, films = [s for s in ratings if s not in both], films + both
    if not ratings or not films:
        raise UsageError(
            "MovieLens needs ratings and films: ratings.csv movies.csv, u.data u.item or "
            "ratings.dat movies.dat"
        )
    numbers, titles = _films(films, left_out)
    people, half = _ratings(ratings, numbers, left_out)
    # Films of all people in one order: whoever saw them, the same ones are held out first.
    order = sorted(range(len(titles)), key=lambda film: rank(titles[film], wanted.seed))
    places = {film: place for place, film in enumerate(order)}
    lowest = 0.5 if half or any(source.endswith(".csv") for source in ratings) else 1.0
    for person, rated in people.items():
        stars = rated.newest()
        left_out[AGAIN] += len(rated.films) - len(stars)
        first = sorted(stars, key=places.__getitem__)[: len(stars) // 3]
        pairs, out = _pairs(stars, first[: 2 * (wanted.pairs or 0)], titles)
        signals = tuple(
            Rating(titles[film], given, (lowest, 5.0))
            for film, given in stars.items()
            if film not in out
        )
        yield User(f"movielens-{person}", signals, pairs)


def _films(sources: Sequence[str], left_out: Counter[str]) -> tuple[dict[str, int], list[str]]:
    numbers: dict[str, int] = {}
    titles: list[str] = []
    for source in sources:
        for row in _film_rows(source):
            title, genres = row.text("title").strip(), row.text("genres")
            if not title:
                left_out[UNTITLED] += 1
                continue
            named = [] if genres.startswith("(no genres") else genres.split("|")
            numbers[row.label("movieId")] = len(titles)
            titles.append(f"{title}; {', '.join(named)}" if any(named) else title)
    return numbers, titles


def _film_rows(source: str) -> Iterator[Row]:
    if source.endswith(".csv"):
        yield from read_rows(source)
        return
    separator = "|" if source.endswith(".item") else "::"
    # 100K and 1M are in Latin-1, 10M is in UTF-8, and nothing in a file says which.
    for number, line in lines(source, "utf-8-sig" if is_utf8(source) else "latin-1"):
        cells = line.split(separator)
        row = Row(source, number, {}, is_line=True)
        if separator == "|":
            if len(cells) != 5 + len(_GENRES):
                raise row.error(f"has {len(cells)} fields, expected {5 + len(_GENRES)}")
            flags = zip(_GENRES, cells[5:], strict=True)
            cells = [cells[0], cells[1], "|".join(n for n, flag in flags if flag == "1")]
        if len(cells) != 3:
            raise row.error(f"has {len(cells)} fields, expected 3")
        values = dict(zip(("movieId", "title", "genres"), cells, strict=True))
        yield Row(source, number, values, is_line=True)


def _ratings(
    sources: Sequence[str], numbers: dict[str, int], left_out: Counter[str]
) -> tuple[dict[str, Rated], bool]:
    people: dict[str, Rated] = {}
    half = False
    for source in sources:
        for row in _rating_rows(source):
            stars = row.float("rating")
            if not 0.5 <= stars <= 5:
                raise row.error(f"'rating' is {stars:g}, expected 0.5 to 5")
            film = numbers.get(row.label("movieId"))
            if film is None:
                left_out[UNKNOWN] += 1
                continue
            rated = people.setdefault(row.label("userId"), Rated())
            rated.films.append(film)
            rated.stars.append(stars)
            # A file without times stays in its order, before what has a time.
            timed = "timestamp" in row.values
            rated.times.append(row.float("timestamp") if timed else -math.inf)
            half = half or not stars.is_integer()
    return people, half


def _rating_rows(source: str) -> Iterator[Row]:
    if source.endswith(".csv"):
        yield from read_rows(source)
        return
    separator = "\t" if source.endswith(".data") else "::"
    for number, line in lines(source):
        cells = line.split(separator)
        if len(cells) != 4:
            found = Row(source, number, {}, is_line=True)
            raise found.error(f"has {len(cells)} fields, expected 4")
        yield Row(source, number, dict(zip(_KEYS, cells, strict=True)), is_line=True)


def _pairs(
    stars: dict[int, float], films: Sequence[int], titles: list[str]
) -> tuple[tuple[Pair, ...], set[int]]:
    """Pairs of the best and the worst of the films, and so on inwards, and the films in them.

    Films that are in no pair, as none was rated a star apart, stay signals.
    """
    by_stars = sorted(films, key=stars.__getitem__)
    pairs: list[Pair] = []
    out: set[int] = set()
    for low, high in zip(by_stars, reversed(by_stars), strict=True):
        if low in out or stars[high] - stars[low] < _GAP or titles[high] == titles[low]:
            break
        first, second = sorted((titles[high], titles[low]))
        prompt = f"Which of these two films should I watch: {first}, or {second}?"
        pairs.append(Pair(prompt, titles[high], titles[low]))
        out |= {low, high}
    return tuple(pairs), out
