"""Inputs that use other tasks' outputs, and the conditions of `when=`.

Above the models; pure but for calling the user's functions. `compile_input` and
`compile_condition` run at submit and give JSON and the tasks it uses;
`render_input` and `evaluate_condition` run on the worker. The store and the engine
carry the JSON and never look into it. It is one object with one key:

- `{"v": value}`: a plain value.
- `{"r": [task id, key, ...]}`: an output or a part of it, as it is.
- `{"t": [part, ...]}`: a text; a part is text, or a list as in `r`.
- `{"d": {key: node}}`, `{"l": [node, ...]}`: a dict or list with such nodes in it.
- `{"f": "module:name"}`: a function of the outputs.
- `{"c": expression}`: a condition; see `models.conditions`.
- `{"a": [node, ...]}`: conditions that must all hold.
"""

from pyagent_orch.inputs.compile import CompiledInput, compile_input
from pyagent_orch.inputs.conditions import both, compile_condition, evaluate_condition
from pyagent_orch.inputs.render import references_of, render_input

__all__ = [
    "CompiledInput",
    "both",
    "compile_condition",
    "compile_input",
    "evaluate_condition",
    "references_of",
    "render_input",
]
