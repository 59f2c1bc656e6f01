"""A column, constraint or index in a form in which what is declared can be compared with what is there."""

import re
from dataclasses import dataclass

#: Literals and quoted names are whole: what is in them is no syntax.
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|[(),]|[^'"(),]+""")
_COLUMN = re.compile(r'("?\w+"?)(( \w+)*)')


@dataclass(frozen=True)
class Definition:
    """SQL with a question mark for every expression: those are written in many ways, all else in one."""

    shape: str
    expressions: tuple[str, ...] = ()

    def __str__(self) -> str:
        expressions = iter(self.expressions)
        return re.sub(r"\?", lambda _: next(expressions), self.shape)


def check(expression: str, *, is_valid: bool = True) -> Definition:
    """`is_valid`: no row of the table contradicts it."""
    return Definition("CHECK ?" if is_valid else "CHECK ? NOT VALID", (expression,))


def unique(sql: str) -> Definition:
    """Of `UNIQUE (columns)`, which is an index."""
    return index(f"CREATE UNIQUE INDEX ON {sql.removeprefix('UNIQUE ')}")


def index(sql: str, *, is_valid: bool = True) -> Definition:
    """Of `CREATE INDEX ...`, as Django and as PostgreSQL write it."""
    head, opening, rest = sql.partition("(")
    keys, rest = _items(opening + rest)
    included: list[str] = []
    if rest.startswith("INCLUDE"):
        included, rest = _items(rest.removeprefix("INCLUDE").strip())
    condition = rest.removeprefix("WHERE ")
    shapes, expressions = zip(*map(_key, keys), strict=True)
    parts = (
        "UNIQUE INDEX" if head.startswith("CREATE UNIQUE") else "INDEX",
        *re.findall(r"USING (?!btree)\w+", head),
        f"({', '.join(shapes)})",
        *([f"INCLUDE ({', '.join(map(_unquoted, included))})"] if included else []),
        *(["WHERE ?"] if condition else []),
        *([] if is_valid else ["INVALID"]),
    )
    return Definition(" ".join(parts), tuple(filter(None, (*expressions, condition))))


def _key(sql: str) -> tuple[str, str]:
    """What it is and how it is sorted; and the expression, if it is one."""
    if column := _COLUMN.fullmatch(sql):
        return _unquoted(column[1]) + column[2], ""
    items, order = _items(sql) if sql.startswith("(") else ([sql], "")
    return f"? {order}".strip(), f"({', '.join(items)})"


def _items(sql: str) -> tuple[list[str], str]:
    """The items of the list in parentheses with which this begins, and what comes after it."""
    items, depth = [""], 0
    for token in _TOKEN.finditer(sql):
        text, outside = token.group(), depth
        depth += (text == "(") - (text == ")")
        if depth == 0:
            return [item.strip() for item in items], sql[token.end() :].strip()
        if depth == 1 and text == ",":
            items.append("")
        elif outside:
            items[-1] += text
    raise ValueError(sql)


def _unquoted(name: str) -> str:
    return name.strip('"')
