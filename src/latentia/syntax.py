"""Signatures read from syntax trees: what a function takes, without importing the module that defines it.

Annotations are evaluated as far as options need it: types, the declarations of `latentia.options`, and tables of
names, which are read from the module that defines them. A table of a module that is imported already is read from
there, so that members from outside the package count.
"""

import ast
import builtins
import importlib
import operator
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from latentia.signatures import REQUIRED, Option, Signature, explained, with_entries

_ROOT = Path(__file__).parent.parent
_LIGHT = ("typing", "collections.abc", "types", "pathlib", "dataclasses", "math")
_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.BitOr: operator.or_,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
}
_SHARING = "with_options_of"  # the decorator of recipes that take another function's options over


class UnreadableError(Exception):
    """A signature that only importing can tell."""


@cache
def signature_in(module: str, name: str) -> Signature:
    """Return what a function of a module takes, from the module's syntax tree.

    Args:
        module: of this package.
        name: of the function.

    Raises:
        UnreadableError: for what is no function there, or has an annotation or default that cannot be read so.

    Example:
        >>> signature_in("latentia.recipes.flow", "flow").keywords[0].name
        'transforms'
    """
    module, _, node = _home(module, name)
    if not isinstance(node, ast.FunctionDef):
        raise UnreadableError(f"{module} defines no function {name}")
    doc = ast.get_docstring(node) or ""
    own = Signature(_own_options(module, node, explained(doc)), doc)
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == _SHARING:
            own = _shared(module, own, decorator)
    return own


def fields_in(module: str, name: str) -> Signature:
    """Return what a dataclass of a module takes, from the module's syntax tree.

    Args:
        module: of this package.
        name: of the dataclass; fields of bases in this package come first.

    Raises:
        UnreadableError: for what is no class there, or has an annotation or default that cannot be read so.

    Example:
        >>> [option.name for option in fields_in("latentia.metrics.likelihood.ais", "AISSettings").options]
        ['rows', 'chains', 'temperatures']
    """
    module, _, node = _home(module, name)
    if not isinstance(node, ast.ClassDef):
        raise UnreadableError(f"{module} defines no class {name}")
    doc = ast.get_docstring(node) or ""
    help_of, options = explained(doc), dict[str, Option]()
    for base in node.bases:
        options |= {each.name: each for each in fields_in(module, ast.unparse(base)).options}
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            name, value = each.target.id, REQUIRED if each.value is None else _value(module, each.value)
            options[name] = Option(name, _value(module, each.annotation), value, help_of.get(name, ""))
    return Signature(list(options.values()), doc)


def _own_options(module: str, node: ast.FunctionDef, help_of: Mapping[str, str]) -> list[Option]:
    positional = [
        Option(each.arg, None, REQUIRED, help_of.get(each.arg, ""), positional=True)
        for each in node.args.args
    ]
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return positional + [
        Option(
            each.arg,
            _value(module, each.annotation),
            REQUIRED if default is None else _value(module, default),
            help_of.get(each.arg, ""),
        )
        for each, default in pairs
    ]


def _shared(module: str, own: Signature, decorator: ast.Call) -> Signature:
    """Return a signature with the options that a decorator adds, as `latentia.recipes.shared_options` does."""
    theirs = signature_in(module, ast.unparse(decorator.args[0]))
    defaults = {str(each.arg): _value(module, each.value) for each in decorator.keywords}
    taken = {option.name for option in own.options} | {*defaults.pop("without", ())}
    more = [option for option in theirs.keywords if option.name not in taken]
    added = [Option(each.name, each.hint, defaults.get(each.name, each.default), each.help) for each in more]
    doc = with_entries(own.doc, theirs.doc, {each.name for each in more})
    return Signature(own.options + added, doc)


@cache
def _definitions(module: str) -> Mapping[str, ast.stmt]:
    """Return a module's top-level statements by the names that they define."""
    path = _ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.exists():
        raise UnreadableError(f"{module} is no module of this package")
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        found |= dict.fromkeys(_names(node), node)
    return found


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=[ast.Name(id=name)]):
            return [name]
        case ast.ImportFrom(names=aliases):
            return [each.asname or each.name for each in aliases]
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):
            return [name for each in body for name in _names(each)]
        case _:
            return []


def _home(module: str, name: str) -> tuple[str, str, ast.stmt]:
    """Return the module that defines what a name stands for in a module, its name there, and the statement."""
    node = _definitions(module).get(name)
    if node is None:
        raise UnreadableError(f"{module} defines no {name}")
    if isinstance(node, ast.ImportFrom) and _is_ours(node.module):
        alias = next(each for each in node.names if (each.asname or each.name) == name)
        return _home(str(node.module), alias.name)
    return module, name, node


def _is_ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] == __name__.partition(".")[0]


def _named(module: str, name: str) -> Any:
    """Return what a name stands for in a module."""
    if name not in _definitions(module):
        if hasattr(builtins, name):
            return getattr(builtins, name)
        raise UnreadableError(f"{module} defines no {name}")
    home, name, node = _home(module, name)
    if home in sys.modules and hasattr(sys.modules[home], name):
        return getattr(sys.modules[home], name)
    match node:
        case ast.ImportFrom(module=source) if source in _LIGHT:
            return getattr(importlib.import_module(str(source)), name)
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return _value(home, value)
        case _:
            raise UnreadableError(f"{name} of {home} is no table of names")


def _value(module: str, node: ast.expr | None) -> Any:
    """Return the value of an expression in a module."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _named(module, name)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_value(module, each) for each in items)
        case ast.Dict(keys=keys, values=values):
            return {
                _value(module, key): _entry(module, value) for key, value in zip(keys, values, strict=True)
            }
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(module, operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _ARITHMETIC[type(op)](_value(module, left), _value(module, right))
        case ast.Subscript(value=base, slice=index):
            return _value(module, base)[_value(module, index)]
        case ast.Call(func=function, args=given, keywords=keywords):
            named = {str(each.arg): _value(module, each.value) for each in keywords}
            return _value(module, function)(*(_value(module, each) for each in given), **named)
        case _:
            raise UnreadableError(f"{module}: cannot read {ast.unparse(node) if node else 'nothing'}")


def _entry(module: str, node: ast.expr) -> Any:
    """Return a table's entry: the keywords of the call that makes it, or None where only importing can tell.

    A call of a function of the module is taken for the call that the function returns.
    """
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            maker = _definitions(module).get(name)
            if args and isinstance(maker, ast.FunctionDef) and isinstance(maker.body[-1], ast.Return):
                return _entry(module, maker.body[-1].value or node.func)
            return {str(each.arg): _entry(module, each.value) for each in keywords}
        case _:
            with suppress(UnreadableError):
                return _value(module, node)
            return None
