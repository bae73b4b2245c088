"""Numbers and digests in a sentence."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return ``1 job`` or ``2,000 jobs``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def short_digest(digest: str | None) -> str:
    """Return the beginning of a SHA-256 digest."""
    return f"{digest[:12]}..." if digest else "unknown"
