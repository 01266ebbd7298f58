"""Arithmetic on text, exact where it can be and bounded in time and memory. Nothing is executed. Pure.

Numbers are fractions, so that 0.1 + 0.2 is 0.3; what has no exact value (roots, sines) is a float.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any, Final

MAX_EXPRESSION: Final = 1000
MAX_PARTS: Final = 300
MAX_BITS: Final = 20_000  # of a number: 6,000 digits
MAX_FACTORIAL: Final = 1_500
MAX_DIGITS: Final = 1_000  # of a whole number that is shown in full
SHOWN_DIGITS: Final = 15

Number = Fraction | float


class ArithmeticFailure(Exception):
    """Why there is no result, in a sentence."""


_TOO_LARGE: Final = "A number in this calculation is too large."


def _exact(value: Number, what: str) -> int:
    if isinstance(value, float) or value.denominator != 1:
        raise ArithmeticFailure(f"{what} takes whole numbers.")
    return value.numerator


def _factorial(value: Number) -> Fraction:
    number = _exact(value, "factorial")
    if not 0 <= number <= MAX_FACTORIAL:
        raise ArithmeticFailure(f"factorial takes numbers from 0 to {MAX_FACTORIAL}.")
    return Fraction(math.factorial(number))


def _comb(of: Number, chosen: Number) -> Fraction:
    many, few = _exact(of, "comb"), _exact(chosen, "comb")
    if not 0 <= few <= many <= 10_000:
        raise ArithmeticFailure("comb takes n and k with 0 <= k <= n <= 10000.")
    return Fraction(math.comb(many, few))


def _gcd(*values: Number) -> Fraction:
    return Fraction(math.gcd(*(_exact(value, "gcd") for value in values)))


def _sqrt(value: Number) -> Number:
    if isinstance(value, Fraction) and value >= 0:
        over, under = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if over * over == value.numerator and under * under == value.denominator:
            return Fraction(over, under)
    return math.sqrt(value)


def _round(value: Number, places: Number = Fraction(0)) -> Number:
    digits = _exact(places, "round")
    if not -400 <= digits <= 400:
        raise ArithmeticFailure("round takes from -400 to 400 places.")
    return Fraction(round(value, digits)) if isinstance(value, Fraction) else round(value, digits)


def _log(value: Number, *base: Number) -> float:
    if value <= 0:
        raise ArithmeticFailure("The logarithm of a number that is not above 0 does not exist.")
    found = math.log(value.numerator) - math.log(value.denominator) if isinstance(value, Fraction) else math.log(value)
    return found / _log(base[0]) if base else found


def _of_float(function: Callable[[float], float]) -> Callable[[Number], float]:
    return lambda value: function(float(value))


_FUNCTIONS: Final[Mapping[str, Callable[..., Number]]] = {
    "abs": abs,
    "ceil": lambda value: Fraction(math.ceil(value)),
    "comb": _comb,
    "cos": _of_float(math.cos),
    "degrees": _of_float(math.degrees),
    "exp": _of_float(math.exp),
    "factorial": _factorial,
    "floor": lambda value: Fraction(math.floor(value)),
    "gcd": _gcd,
    "ln": _log,
    "log": _log,
    "log10": lambda value: _log(value) / math.log(10),
    "log2": lambda value: _log(value) / math.log(2),
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "radians": _of_float(math.radians),
    "round": _round,
    "sin": _of_float(math.sin),
    "sqrt": _sqrt,
    "sum": lambda *values: sum(values, Fraction(0)),
    "tan": _of_float(math.tan),
}
_CONSTANTS: Final[Mapping[str, Number]] = {"pi": math.pi, "e": math.e, "tau": math.tau}
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda one, other: Fraction(one // other) if isinstance(one, Fraction) else one // other,
    ast.Mod: operator.mod,
}


def calculate(expression: str) -> str:
    """The result as text. Raises `ArithmeticFailure`."""
    text = expression.replace("^", "**").replace("×", "*").replace("·", "*").replace("÷", "/").replace("−", "-").strip()
    if len(text) > MAX_EXPRESSION + 100:
        raise ArithmeticFailure("The expression is too long.")
    try:
        tree = ast.parse(text, mode="eval")
        if sum(1 for _ in ast.walk(tree)) > MAX_PARTS:
            raise ArithmeticFailure("The expression has too many parts.")
        return show(_value(tree.body, text))
    except ZeroDivisionError:
        raise ArithmeticFailure("That divides by zero.") from None
    except OverflowError:
        raise ArithmeticFailure(_TOO_LARGE) from None
    except (SyntaxError, RecursionError, MemoryError):
        raise ArithmeticFailure("That is not an expression such as (2 + 3) * 4.") from None
    except (TypeError, ValueError):
        raise ArithmeticFailure("A function in this expression does not take these numbers.") from None


def _value(node: ast.expr, text: str) -> Number:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float()):
            written = (ast.get_source_segment(text, node) or "").replace("_", "")
            if len(written) > 400:
                raise ArithmeticFailure(_TOO_LARGE)
            if isinstance(node.value, int):
                return _bounded(Fraction(node.value))
            if abs(Decimal(written).adjusted()) > 400:
                raise ArithmeticFailure(_TOO_LARGE)
            return _bounded(Fraction(written))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, text)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, text)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, text), _value(right, text))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left, text), _value(right, text)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(one, text) for one in arguments)))
        case _:
            pass
    known = ", ".join(sorted(_FUNCTIONS))
    raise ArithmeticFailure(f"Only numbers, + - * / // % ^ and these functions can be used: {known}.")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits > 1 and bits * abs(exponent.numerator) > MAX_BITS:
            raise ArithmeticFailure(_TOO_LARGE)
        return _bounded(base**exponent.numerator)
    found = complex(float(base) ** float(exponent))
    if found.imag:
        raise ArithmeticFailure("The result is not a real number.")
    return found.real


def _bounded(value: Number) -> Number:
    if isinstance(value, int):
        value = Fraction(value)
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise ArithmeticFailure(_TOO_LARGE)
    elif not math.isfinite(value):
        raise ArithmeticFailure(_TOO_LARGE)
    return value


def show(value: Number) -> str:
    """A whole number in full, a decimal with up to 15 digits."""
    if isinstance(value, float):
        return f"{value:.{SHOWN_DIGITS}g}"
    if value.denominator == 1 and abs(value.numerator) < 10**MAX_DIGITS:
        return str(value.numerator)
    with localcontext(Context(prec=SHOWN_DIGITS)) as context:
        found = Decimal(value.numerator) / Decimal(value.denominator)
        exact = Fraction(found) == value
        shown = f"{found.normalize(context):f}" if -30 < found.adjusted() < 30 else f"{found.normalize(context)}"
    return shown if exact else f"{shown} (rounded)"
