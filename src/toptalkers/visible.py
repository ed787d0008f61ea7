"""Make text that others wrote (file names, S3 keys, tags, logs) safe to print on a terminal."""


def visible(text: str) -> str:
    r"""Return a text as one line in which every character is visible.

    Characters that do not print are escaped as Python does, as `\n`, `\x1b` or `\u202e`: line ends, ESC and other
    control characters, marks that change the writing direction, unpaired surrogates, every space but the plain one.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def width(text: str) -> int:
    """How many columns of a terminal a visible text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(0 if category(one) in ("Mn", "Me") else 2 if east_asian_width(one) in "WF" else 1 for one in text)


SHOWN_CHARACTERS = 40


def quoted(text: str) -> str:
    """Return a text in quotes, shortened: a wrong argument may be as long as a command line can be."""
    return repr(text) if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]!r}..."
