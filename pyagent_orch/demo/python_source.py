"""Figures of a Python source, from its syntax tree; nothing of it is run.

Part of the demo, on the layer of the edges; pure.
"""

from __future__ import annotations

import ast
import io
import sys
import threading
import tokenize
import warnings
from collections.abc import Iterator
from contextlib import suppress

from pyagent_orch.demo.results import Function, PythonSource

_FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

_BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.comprehension,
)
# Filters of warnings are the process's own: two threads must not put back each other's.
_PARSING = threading.Lock()


def parse(source: str) -> ast.Module:
    """Parse a source, without the warnings that its author, not its reader, should see.

    Raises:
        SyntaxError: it is no Python of this interpreter's version, or nested too deeply.
    """
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error) or "nested too deeply") from None


def measure(tree: ast.Module) -> PythonSource:
    """Take the figures of a parsed source; the comments are counted by `comments_of`."""
    scopes = list(_scopes(tree, ""))
    functions = [
        Function(
            name=name,
            line=node.lineno,
            lines=(node.end_lineno or node.lineno) - node.lineno + 1,
            complexity=complexity(node),
        )
        for name, node in scopes
        if isinstance(node, _FunctionNode)
    ]
    public = [(name, node) for name, node in scopes if _wants_docstring(name, node)]
    standard, other = _imports(tree)
    return PythonSource(
        functions=len(functions),
        classes=sum(isinstance(node, ast.ClassDef) for _, node in scopes),
        longest=max(functions, key=lambda function: function.lines, default=None),
        most_complex=max(functions, key=lambda function: function.complexity, default=None),
        public_names=len(public),
        undocumented=[name or "module" for name, node in public if not ast.get_docstring(node)],
        standard_imports=standard,
        other_imports=other,
    )


def complexity(function: _FunctionNode) -> int:
    """Count the independent ways through a function: 1 and 1 for each branch.

    The measure: McCabe, "A complexity measure", IEEE Transactions on Software
    Engineering SE-2 (1976). Each `and` and `or` counts as a branch; a nested
    function counts for itself.
    """
    ways = 1
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, _FunctionNode | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, _BRANCHES):
            ways += 1
        if isinstance(node, ast.comprehension):
            ways += len(node.ifs)
        elif isinstance(node, ast.BoolOp):
            ways += len(node.values) - 1
        elif isinstance(node, ast.Match):
            ways += sum(not _matches_all(case) for case in node.cases)
        waiting.extend(ast.iter_child_nodes(node))
    return ways


def comments_of(source: str) -> list[tuple[int, str]]:
    """The comments of a source with their lines; those before the first broken line."""
    comments: list[tuple[int, str]] = []
    # A source that breaks off still has the comments before the break.
    with suppress(tokenize.TokenError, SyntaxError):
        comments.extend(
            (token.start[0], token.string)
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        )
    return comments


def _scopes(node: ast.AST, prefix: str) -> Iterator[tuple[str, _Scope]]:
    """Yield the module, classes and functions, each with its qualified name."""
    waiting: list[tuple[ast.AST, str]] = [(node, prefix)]
    while waiting:
        node, prefix = waiting.pop()
        inner = prefix
        if isinstance(node, ast.ClassDef | _FunctionNode):
            name = f"{prefix}{node.name}"
            inner = f"{name}." if isinstance(node, ast.ClassDef) else f"{name}.<locals>."
            yield name, node
        elif isinstance(node, ast.Module):
            yield "", node
        waiting.extend((child, inner) for child in reversed(list(ast.iter_child_nodes(node))))


def _wants_docstring(name: str, node: _Scope) -> bool:
    if isinstance(node, ast.Module):
        return bool(node.body)
    parts = name.split(".")
    # A test's name is its docstring.
    if any(part.startswith(("_", "<", "test_", "Test")) for part in parts):
        return False
    # Overloads and the setters of properties have their docstring elsewhere.
    marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
    return not marks & {"overload", "setter", "deleter", "override"}


def _matches_all(case: ast.match_case) -> bool:
    pattern = case.pattern
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None and case.guard is None


def _imports(tree: ast.Module) -> tuple[list[str], list[str]]:
    packages: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            packages.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            packages.add(node.module.partition(".")[0])
    standard = packages & (sys.stdlib_module_names | {"__future__"})
    return sorted(standard), sorted(packages - standard)
