"""Texts that others chose - names of files, keys in S3, tags, logs - made fit for a terminal."""


def visible(text: str) -> str:
    r"""Give a text as one line in which every character shows.

    What does not print - line ends, ESC and other controls, marks that turn the direction of writing, unpaired
    surrogates, every space but the plain one - is written as Python would write it: `\n`, `\x1b`, `\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


SHOWN_CHARACTERS = 40


def quoted(text: str) -> str:
    """Give a text in quotes, as much of it as tells: what is wrong may be as long as a command line can be."""
    return repr(text) if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]!r}..."
