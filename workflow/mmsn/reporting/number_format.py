"""How numbers are written in tables: three decimals as in the paper, and a real minus sign."""

import math

_MINUS = "\N{MINUS SIGN}"
_SMALLEST_P = 0.001


def decimal(value: float | None) -> str:
    """0.751, or nothing for a value that is not there."""
    return "" if _absent(value) else f"{value:.3f}".replace("-", _MINUS)


def signed(value: float | None) -> str:
    """+0.020."""
    return "" if _absent(value) else f"{value:+.3f}".replace("-", _MINUS)


def with_interval(value: float | None, lo: float | None, hi: float | None) -> str:
    """0.751 (0.748, 0.754), as the paper writes it."""
    if _absent(value):
        return ""
    return f"{decimal(value)} ({decimal(lo)}, {decimal(hi)})" if not _absent(lo) else decimal(value)


def signed_with_interval(value: float | None, lo: float | None, hi: float | None) -> str:
    """+0.020 (0.017, 0.023)."""
    if _absent(value):
        return ""
    return f"{signed(value)} ({decimal(lo)}, {decimal(hi)})" if not _absent(lo) else signed(value)


def p_value(value: float | None) -> str:
    """0.013, or <0.001."""
    if _absent(value):
        return ""
    return f"<{_SMALLEST_P}" if value is not None and value < _SMALLEST_P else decimal(value)


def count(value: float | None) -> str:
    """36,625."""
    return "" if _absent(value) else f"{value:,.0f}"


def signed_count(value: float | None) -> str:
    """+1,234, or 0."""
    if _absent(value):
        return ""
    return f"{value:+,.0f}".replace("-", _MINUS) if value else "0"


def signed_percent(share: float) -> str:
    """+1.25 % for 0.0125; more digits where it is small."""
    digits = 2 if abs(share) >= 1e-4 else 5
    return f"{100 * share:+.{digits}f}".replace("-", _MINUS) + "\N{NO-BREAK SPACE}%"


def percent(level: float) -> str:
    """95 % for 0.95."""
    return f"{100 * level:g}\N{NO-BREAK SPACE}%"


def _absent(value: float | None) -> bool:
    return value is None or math.isnan(value)
