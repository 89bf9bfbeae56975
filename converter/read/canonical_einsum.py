"""Handlers, continued: einsum as transposes, sums and one product of matrices."""

from __future__ import annotations

from converter.read.canonical import Builder, Op
from converter.read.canonical_composed import Chain
from converter.read.canonical_ops import handles

_UNNAMED = 0x2460
"""Dimensions that "..." stands for get letters from here, which no equation uses."""


@handles("einsum")
def einsum(b: Builder, op: Op) -> None:
    """One or two operands; more are several operators to Paddle itself."""
    names = op.inputs.get("Operands", [])
    if not names:
        raise op.error("has no operands")
    terms, wanted = parse(op, op.attr("equation", ""), [len(b.shape_of(name)) for name in names])
    chain = Chain(b, op)
    for i, term in enumerate(terms):
        others = set(wanted).union(*terms[:i], *terms[i + 1:])
        names[i], terms[i] = _summed(chain, names[i], term, [letter for letter in term if letter not in others])
    if len(names) == 1:
        _transposed(chain, names[0], terms[0], wanted, last=True)
    elif set(terms[0]) & set(terms[1]) - set(wanted):
        _contracted(chain, names, terms, wanted)
    else:
        spread = [_spread(chain, name, term, wanted) for name, term in zip(names, terms, strict=True)]
        chain.two("elementwise_mul", *spread, last=True)


def parse(op: Op, equation: object, ranks: list[int]) -> tuple[list[str], str]:
    """Each operand's letters, and those of the result."""
    text = str(equation).replace(" ", "")
    given, arrow, result = text.partition("->")
    terms = given.split(",")
    if len(terms) != len(ranks) or len(terms) > 2:
        raise op.error(f"'{text[:60]}' does not fit {len(ranks)} operands; one or two are supported")
    hidden = [rank - len(term.replace("...", "")) if "..." in term else 0
              for term, rank in zip(terms, ranks, strict=True)]
    unnamed = "".join(chr(_UNNAMED + i) for i in range(max(0, *hidden)))
    terms = [term.replace("...", unnamed[len(unnamed) - max(count, 0):]) for term, count in
             zip(terms, hidden, strict=True)]
    once = "".join(sorted(letter for letter in set(given) if letter.isalpha() and given.count(letter) == 1))
    result = result.replace("...", unnamed) if arrow else unnamed + once
    fits = all(len(term) == rank == len(set(term)) for term, rank in zip(terms, ranks, strict=True))
    if not fits or len(set(result)) != len(result) or not set(result) <= set("".join(terms)):
        raise op.error(f"'{text[:60]}' does not fit operands of {ranks} dimensions, each with a letter of its own")
    return terms, result


def _summed(chain: Chain, name: str, term: str, drop: list[str]) -> tuple[str, str]:
    """Without the letters that nothing else names."""
    if not drop:
        return name, term
    axes = [term.index(letter) for letter in drop]
    return (chain.one("reduce_sum", name, dim=axes, keep_dim=False, reduce_all=False),
            "".join(letter for letter in term if letter not in drop))


def _transposed(chain: Chain, name: str, term: str, wanted: str, last: bool = False) -> str:
    return chain.one("transpose2", name, last, axis=[term.index(letter) for letter in wanted])


def _spread(chain: Chain, name: str, term: str, wanted: str) -> str:
    """In the order that is wanted, with a 1 for each letter that is missing."""
    name = _transposed(chain, name, term, "".join(letter for letter in wanted if letter in term))
    return _with_ones(chain, name, [i for i, letter in enumerate(wanted) if letter not in term])


def _with_ones(chain: Chain, name: str, axes: list[int]) -> str:
    return chain.one("unsqueeze2", name, axes=axes) if axes else name


def _contracted(chain: Chain, names: list[str], terms: list[str], wanted: str) -> None:
    """A product of matrices: all letters that both keep, and all but one of those that one of them keeps, number
    matrices, with a 1 where the other lacks them; what is summed is one dimension."""
    first, second = terms
    both = [letter for letter in wanted if letter in first and letter in second]
    rows = [letter for letter in wanted if letter in first and letter not in second]
    columns = [letter for letter in wanted if letter in second and letter not in first]
    summed = "".join(letter for letter in first if letter in second and letter not in wanted)
    many = [*both, *rows[:-1], *columns[:-1]]
    row, column = "".join(rows[-1:]), "".join(columns[-1:])
    x = _matrices(chain, names[0], first, many, row, summed)
    y = _matrices(chain, names[1], second, many, summed, column)
    x = _with_ones(chain, x, [] if row else [len(many)])
    y = _with_ones(chain, y, [] if column else [len(many) + 1])
    product = chain.step("matmul_v2", {"X": [x], "Y": [y]}, {"trans_x": False, "trans_y": False})
    unused = [len(many) + i for i, letter in enumerate((row, column)) if not letter]
    if unused:
        product = chain.one("squeeze2", product, axes=unused)
    _transposed(chain, product, "".join(many) + row + column, wanted, last=True)


def _matrices(chain: Chain, name: str, term: str, many: list[str], row: str, column: str) -> str:
    """[many…, row, column], what is summed made one dimension; a row or column that is missing is left out."""
    order = "".join(letter for letter in [*many, *row, *column] if letter in term)
    name = _transposed(chain, name, term, order)
    summed = max(row, column, key=len) if len(row) > 1 or len(column) > 1 else ""
    if summed:
        start = order.index(summed[0])
        name = chain.one("flatten_contiguous_range", name, start_axis=start, stop_axis=start + len(summed) - 1)
    return _with_ones(chain, name, [i for i, letter in enumerate(many) if letter not in term])
